import { describe, expect, test } from 'vitest';
import { DownloadError } from '../../../src/errors.ts';
import { parseRetryAfter, PassingFailure, Retries, waitInRealTime } from '../../../src/store/download/retries.ts';

function makeRetries() {
  const pauses: number[] = [];
  const notes: string[] = [];
  const retries = new Retries(
    async (milliseconds) => void pauses.push(milliseconds),
    (text) => notes.push(text),
  );
  return { retries, pauses, notes };
}

const passing = (retryAfterMs?: number) =>
  new PassingFailure('a file', 'server-error', 'the server answers with an error of its own (503)', { retryAfterMs });

describe('a failure that may pass', () => {
  test('is tried again after pauses that double, and told each time', async () => {
    const { retries, pauses, notes } = makeRetries();
    let calls = 0;
    const answer = await retries.run(async () => {
      calls += 1;
      if (calls < 4) throw passing();
      return 'done';
    });
    expect(answer).toBe('done');
    expect(pauses).toEqual([1000, 2000, 4000]);
    expect(notes).toEqual([
      'a file: the server answers with an error of its own (503); trying again in 1 s (attempt 2 of 6)',
      'a file: the server answers with an error of its own (503); trying again in 2 s (attempt 3 of 6)',
      'a file: the server answers with an error of its own (503); trying again in 4 s (attempt 4 of 6)',
    ]);
  });

  test('ends the download after six attempts in a row', async () => {
    const { retries, pauses } = makeRetries();
    const failing = retries.run(async () => Promise.reject(passing()));
    await expect(failing).rejects.toThrow(DownloadError);
    await expect(failing).rejects.toMatchObject({
      fault: 'server-error',
      message: expect.stringMatching(/attempt 6\. .*continues from there/),
    });
    expect(pauses).toHaveLength(5);
  });

  test('begins a new row where a megabyte arrived in between', async () => {
    const { retries, pauses } = makeRetries();
    let calls = 0;
    await retries.run(async () => {
      calls += 1;
      retries.received(600_000);
      if (calls < 20) throw passing();
    });
    expect(pauses).toHaveLength(19);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(2000);
  });

  test('waits as long as the server asks, and not for hours', async () => {
    const { retries, pauses } = makeRetries();
    let calls = 0;
    await retries.run(async () => {
      calls += 1;
      if (calls === 1) throw passing(17_000);
    });
    expect(pauses).toEqual([17_000]);
    await expect(makeRetries().retries.run(async () => Promise.reject(passing(7_200_000)))).rejects.toThrow(
      /asks to wait 120 minutes/,
    );
  });
});

test('any other failure is not tried again', async () => {
  const { retries, pauses } = makeRetries();
  await expect(retries.run(async () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(pauses).toEqual([]);
});

test('an abort ends the pause, with its own reason', async () => {
  const controller = new AbortController();
  const waiting = waitInRealTime(3_600_000, controller.signal);
  controller.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
});

test.each([
  [null, undefined],
  ['0', 0],
  [' 12 ', 12_000],
  ['Thu, 01 Jan 1970 00:01:40 GMT', 90_000],
  ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
  ['soon', undefined],
])('Retry-After %j is understood', (value, milliseconds) => {
  expect(parseRetryAfter(value, 10_000)).toBe(milliseconds);
});
