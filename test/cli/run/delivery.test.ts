import { expect, test } from 'vitest';
import { deliver } from '../../../src/cli/run/delivery.ts';
import { Tally } from '../../../src/cli/run/tally.ts';
import { Terminal } from '../../../src/cli/terminal/terminal.ts';
import { ImageError } from '../../../src/errors.ts';
import { ClosedPipe } from '../../../src/output/destination.ts';
import type { OutputRecord } from '../../../src/output/record.ts';
import type { ImageOutcome } from '../../../src/pipeline/run.ts';
import { Recorder } from '../terminal/screen.ts';

const empty = new ImageError('empty-file', 'the file is empty.');
const outcomes: ImageOutcome[] = [
  { file: { path: 'a.jpg' }, records: [{ schema: 1, image: 'a.jpg', caption: 'a' }], errors: [] },
  {
    file: { path: 'b\n.jpg' },
    records: [{ schema: 1, image: 'b\n.jpg', error: { code: empty.code, message: empty.message } }],
    errors: [empty],
  },
  { file: { path: 'c.jpg' }, records: [{ schema: 1, image: 'c.jpg', caption: 'c' }], errors: [] },
];
const quietly = { resultsOnTerminal: false, failuresInResults: false, debug: false };

async function* stream(): AsyncGenerator<ImageOutcome> {
  yield* outcomes;
}

function newTally(): Tally {
  return new Tally(
    outcomes.map(({ file }) => file),
    'caption',
  );
}

test('records are written in order, and failures told with a safe name', async () => {
  const stderr = new Recorder();
  const written: string[] = [];
  const tally = newTally();
  const writer = { write: async (record: OutputRecord) => void written.push(record.image) };
  await deliver(stream(), writer, tally, new Terminal(stderr), quietly);
  expect(written).toEqual(['a.jpg', 'b\n.jpg', 'c.jpg']);
  expect(stderr.lines).toEqual(['minigpt: b\\n.jpg: the file is empty.']);
  expect([tally.done, tally.failed, tally.exitCode]).toEqual([3, 1, 1]);
});

test('a failure that stands in the results on the same screen is not told twice', async () => {
  const stderr = new Recorder();
  const writer = { write: async () => undefined };
  await deliver(stream(), writer, newTally(), new Terminal(stderr), { ...quietly, failuresInResults: true });
  expect(stderr.text).toBe('');
});

test('--debug adds where an error came from', async () => {
  const stderr = new Recorder();
  const writer = { write: async () => undefined };
  await deliver(stream(), writer, newTally(), new Terminal(stderr), { ...quietly, debug: true });
  expect(stderr.text).toContain('delivery.test.ts');
});

test('a reader that goes away ends the stream, and what it did not take does not count', async () => {
  const tally = newTally();
  let taken = 0;
  const writer = {
    write: async () => {
      if (taken === 1) throw new ClosedPipe('gone');
      taken += 1;
    },
  };
  const running = stream();
  await expect(deliver(running, writer, tally, new Terminal(new Recorder()), quietly)).rejects.toBeInstanceOf(
    ClosedPipe,
  );
  expect(tally.done).toBe(1);
  expect(await running.next()).toEqual({ value: undefined, done: true });
});
