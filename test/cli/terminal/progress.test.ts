import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { formatBar, ProgressBar } from '../../../src/cli/terminal/progress-bar.ts';
import { describePace, PlainProgress } from '../../../src/cli/terminal/progress.ts';
import { Tally } from '../../../src/cli/run/tally.ts';
import { Terminal } from '../../../src/cli/terminal/terminal.ts';
import { FakeTerminal, Recorder } from './screen.ts';

const good = { file: { path: 'a.jpg' }, records: [{ schema: 1, image: 'a.jpg', caption: 'a' } as const], errors: [] };

function tallyOf(total: number): Tally {
  return new Tally(
    Array.from({ length: total }, (_, index) => ({ path: `${index}.jpg` })),
    'caption',
  );
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe('the pace', () => {
  test('tells rate and time left once there are results', () => {
    expect(describePace({ done: 120, total: 1000, failed: 3, seconds: 10 })).toBe(
      '3 failed, 12.0 images/s, 1 min 13 s left',
    );
  });

  test('says so while the model is loading', () => {
    expect(describePace({ done: 0, total: 1000, failed: 0, seconds: undefined })).toBe('loading the model');
  });

  test('does not divide by nothing', () => {
    expect(describePace({ done: 0, total: 10, failed: 0, seconds: 0 })).toBe('');
    expect(describePace({ done: 1, total: 10, failed: 0, seconds: 0 })).toBe('');
  });
});

describe('plain lines', () => {
  test('come every ten seconds until the end', () => {
    const stderr = new Recorder();
    const tally = tallyOf(100);
    const progress = new PlainProgress(new Terminal(stderr));
    progress.start(tally);
    progress.ready();
    for (let image = 0; image < 20; image++) tally.count(good);
    vi.advanceTimersByTime(10_000);
    vi.advanceTimersByTime(10_000);
    progress.stop();
    vi.advanceTimersByTime(60_000);
    expect(stderr.lines).toEqual([
      'minigpt: 20 of 100 images, 2.0 images/s, 40.0 s left',
      'minigpt: 20 of 100 images, 1.0 images/s, 1 min 20 s left',
    ]);
  });
});

describe('the bar', () => {
  test('is cut to the width of the terminal', () => {
    const standing = { done: 5, total: 10, failed: 0, seconds: 2 };
    expect(formatBar(standing, 200)).toBe('[============------------] 5/10  2.5 images/s, 2.0 s left');
    expect(formatBar(standing, 40)).toHaveLength(39);
  });

  test('stays on the last line while messages and results pass above it, and is gone at the end', () => {
    const screen = new FakeTerminal();
    const terminal = new Terminal(screen);
    const progress = new ProgressBar(terminal, screen.asTty());
    const tally = tallyOf(2);
    progress.start(tally);
    progress.ready();
    vi.advanceTimersByTime(1000);
    expect(screen.rows).toEqual(['[------------------------] 0/2']);

    tally.count(good);
    terminal.makeRoom();
    screen.write('a.jpg: a dog\n');
    terminal.say('b.jpg: the file is empty.');
    vi.advanceTimersByTime(1000);
    expect(screen.rows).toEqual([
      'a.jpg: a dog',
      'minigpt: b.jpg: the file is empty.',
      '[============------------] 1/2  0.5 images/s, 2.0 s left',
    ]);

    progress.stop();
    terminal.say('1 image captioned.');
    vi.advanceTimersByTime(1000);
    expect(screen.rows).toEqual([
      'a.jpg: a dog',
      'minigpt: b.jpg: the file is empty.',
      'minigpt: 1 image captioned.',
      '',
    ]);
  });

  test('changes no mode of the terminal that a killed process could not set back', () => {
    const screen = new FakeTerminal();
    const progress = new ProgressBar(new Terminal(screen), screen.asTty());
    progress.start(tallyOf(2));
    vi.advanceTimersByTime(1000);
    progress.stop();
    expect(screen.text).not.toContain('\u001b[?');
    expect(screen.text).not.toContain('\u001b7');
  });
});
