import { expect, test } from 'vitest';
import { formatDuration } from '../../../src/cli/terminal/duration.ts';
import { Interrupted } from '../../../src/cli/terminal/interruption.ts';
import { LeftOut } from '../../../src/images/discovery/left-out.ts';
import { Tally } from '../../../src/cli/run/tally.ts';
import type { ImageOutcome } from '../../../src/pipeline/run.ts';

const good: ImageOutcome = {
  file: { path: 'a.jpg' },
  records: [{ schema: 1, image: 'a.jpg', caption: 'a dog' }],
  errors: [],
};
const bad: ImageOutcome = {
  file: { path: 'b.jpg' },
  records: [
    { schema: 1, image: 'b.jpg', question: 'Who?', answer: 'a dog' },
    { schema: 1, image: 'b.jpg', question: 'Why?', error: { code: 'internal', message: 'no.' } },
  ],
  errors: [],
};

function tallyOf(total: number, kind: 'caption' | 'ask', outcomes: ImageOutcome[]): Tally {
  const tally = new Tally(
    Array.from({ length: total }, (_, index) => ({ path: `${index}.jpg` })),
    kind,
  );
  for (const outcome of outcomes) tally.count(outcome);
  return tally;
}

test('a run without failures', () => {
  const tally = tallyOf(1, 'caption', [good]);
  expect(tally.summary(0.5)).toBe('1 image captioned in 0.5 s (2.0 images/s).');
  expect(tally.exitCode).toBe(0);
});

test('an image of which one question failed counts as failed', () => {
  const tally = tallyOf(3, 'ask', [good, good, bad]);
  expect(tally.summary(2)).toBe('2 images answered, 1 failed, in 2.0 s (1.5 images/s).');
  expect(tally.exitCode).toBe(1);
});

test('what is missing is told in the last line, and an unreadable folder is a failure', () => {
  const leftOut = new LeftOut();
  leftOut.addFile('p/a.mov', 'no image');
  const others = new Tally([{ path: 'a.jpg' }], 'caption', { unreadableFolders: 0, leftOut });
  others.count(good);
  expect(others.summary(0.5)).toBe('1 image captioned in 0.5 s (2.0 images/s). 1 other file left out: 1 .mov.');
  expect(others.exitCode).toBe(0);

  const closed = new Tally([{ path: 'a.jpg' }], 'caption', { unreadableFolders: 2, leftOut });
  closed.count(good);
  expect(closed.summary(0.5)).toBe(
    '1 image captioned in 0.5 s (2.0 images/s). 2 folders could not be read. 1 other file left out: 1 .mov.',
  );
  expect(closed.exitCode).toBe(1);
});

test('an interrupted run says what is done and where to go on', () => {
  const tally = tallyOf(5, 'caption', [good, bad]);
  expect(tally.interruptedSummary(new Interrupted('SIGINT'), 'x.jsonl')).toBe(
    'interrupted: 1 image captioned, 1 failed, 3 left. Every line in x.jsonl is complete. To continue, start at 2.jpg with another --output.',
  );
  expect(tally.interruptedSummary(new Interrupted('SIGTERM'), undefined)).toBe(
    'terminated: 1 image captioned, 1 failed, 3 left. Every written line is complete. To continue, start at 2.jpg.',
  );
});

test('a run that is interrupted before its first record says so', () => {
  expect(tallyOf(5, 'ask', []).interruptedSummary(new Interrupted('SIGINT'), 'x.jsonl')).toBe(
    'interrupted before the first image was answered.',
  );
});

test.each([
  [0, '0.0 s'],
  [12.34, '12.3 s'],
  [59.94, '59.9 s'],
  [59.96, '1 min 0 s'],
  [125.4, '2 min 5 s'],
  [12_000, '3 h 20 min'],
])('%s seconds are %s', (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});

test('what comes after all images counts none of them again, and an image that fails then counts as failed', () => {
  const file = { path: 'a.jpg' };
  const compared: ImageOutcome = { file, records: [], errors: [] };
  const tally = new Tally([file, { path: 'b.jpg' }], 'rank');
  for (const outcome of [compared, compared]) tally.count(outcome);
  expect(tally.summary(1)).toBe('2 images compared in 1.0 s (2.0 images/s).');
  tally.count({
    later: true,
    file,
    records: [{ schema: 1, image: 'a.jpg', error: { code: 'internal', message: 'no.' } }],
    errors: [],
  });
  tally.count({
    later: true,
    file: undefined,
    records: [{ schema: 1, image: 'b.jpg', text: 'x', rank: 1, itm: 1, itc: 1 }],
    errors: [],
  });
  expect(tally.summary(1)).toBe('1 image compared, 1 failed, in 1.0 s (2.0 images/s).');
  expect(tally.exitCode).toBe(1);
  expect(tally.interruptedSummary(new Interrupted('SIGINT'), undefined)).toBe(
    'interrupted: 1 image compared, 1 failed, 0 left. The best images are only known at the end of a run.',
  );
});
