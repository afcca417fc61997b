import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { Interrupted, Interruption } from '../../../src/cli/terminal/interruption.ts';
import { Deferred } from '../../pipeline/deferred.ts';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

function listen(): Interruption {
  const interruption = new Interruption();
  onTestFinished(() => interruption.release());
  return interruption;
}

describe('the first signal', () => {
  test.each([
    ['SIGINT', 'interrupted', 130],
    ['SIGTERM', 'terminated', 143],
  ] as const)('%s aborts with the word and the exit code for it', (signal, word, exitCode) => {
    const interruption = listen();
    expect(interruption.interrupted).toBeUndefined();
    process.emit(signal, signal);
    expect(interruption.signal.aborted).toBe(true);
    expect(interruption.interrupted).toMatchObject({ word, exitCode });
  });

  test('is followed by the system’s own action, but not for the same press of a key', () => {
    const before = process.listenerCount('SIGINT');
    listen();
    process.emit('SIGINT', 'SIGINT');
    expect(process.listenerCount('SIGINT')).toBe(before + 1);
    vi.advanceTimersByTime(300);
    expect(process.listenerCount('SIGINT')).toBe(before);
  });
});

describe('work that listens to the signal', () => {
  test('gives what it gives where no signal comes', async () => {
    await expect(listen().orLeave(Promise.resolve(7))).resolves.toBe(7);
    await expect(listen().orLeave(Promise.reject(new Error('no disk')))).rejects.toThrow('no disk');
  });

  test('may clean up and end after the signal', async () => {
    const interruption = listen();
    const work = new Deferred<number>();
    const left = interruption.orLeave(work.promise);
    process.emit('SIGINT', 'SIGINT');
    vi.advanceTimersByTime(1900);
    work.reject(new Error('cleaned up'));
    await expect(left).rejects.toThrow('cleaned up');
    expect(vi.getTimerCount()).toBe(0);
  });

  test('is left behind where it is stuck', async () => {
    const interruption = listen();
    const left = interruption.orLeave(new Deferred<number>().promise);
    const rejected = expect(left).rejects.toBeInstanceOf(Interrupted);
    process.emit('SIGTERM', 'SIGTERM');
    vi.advanceTimersByTime(2000);
    await rejected;
  });

  test('that begins after the signal has the same time', async () => {
    const interruption = listen();
    process.emit('SIGINT', 'SIGINT');
    const left = interruption.orLeave(new Deferred<number>().promise);
    const rejected = expect(left).rejects.toBeInstanceOf(Interrupted);
    vi.advanceTimersByTime(2000);
    await rejected;
  });
});
