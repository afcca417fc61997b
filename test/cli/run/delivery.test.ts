import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { deliver } from '../../../src/cli/run/delivery.ts';
import { Tally } from '../../../src/cli/run/tally.ts';
import { Terminal } from '../../../src/cli/terminal/terminal.ts';
import { ImageError } from '../../../src/errors.ts';
import { ClosedPipe, FileDestination } from '../../../src/output/destination.ts';
import { jsonl } from '../../../src/output/jsonl.ts';
import { RecordWriter } from '../../../src/output/record-writer.ts';
import { isFailed, type OutputRecord } from '../../../src/output/record.ts';
import type { Writer } from '../../../src/output/writer.ts';
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

/** A writer that does what is given, and notes all that is asked of it. */
function noting(write: Writer['write'] = async () => undefined): Writer & { calls: string[] } {
  const calls: string[] = [];
  return {
    calls,
    write: async (records) => {
      calls.push(records.map(({ image }) => image).join(' '));
      await write(records);
    },
    end: async () => void calls.push('end'),
    close: async () => void calls.push('close'),
  };
}

test('records are written in order, and failures told with a safe name', async () => {
  const stderr = new Recorder();
  const tally = newTally();
  const writer = noting();
  await deliver(stream(), [writer], tally, new Terminal(stderr), quietly);
  expect(writer.calls).toEqual(['a.jpg', 'b\n.jpg', 'c.jpg', 'end', 'close']);
  expect(stderr.lines).toEqual(['minigpt: b\\n.jpg: the file is empty.']);
  expect([tally.done, tally.failed, tally.exitCode]).toEqual([3, 1, 1]);
});

test('a failure that stands in the results on the same screen is not told twice', async () => {
  const stderr = new Recorder();
  await deliver(stream(), [noting()], newTally(), new Terminal(stderr), { ...quietly, failuresInResults: true });
  expect(stderr.text).toBe('');
});

test('--debug adds where an error came from', async () => {
  const stderr = new Recorder();
  await deliver(stream(), [noting()], newTally(), new Terminal(stderr), { ...quietly, debug: true });
  expect(stderr.text).toContain('delivery.test.ts');
});

test('a reader that goes away ends the stream, and what it did not take does not count', async () => {
  const tally = newTally();
  let taken = 0;
  const writer = noting(async () => {
    if (taken === 1) throw new ClosedPipe('gone');
    taken += 1;
  });
  const running = stream();
  await expect(deliver(running, [writer], tally, new Terminal(new Recorder()), quietly)).rejects.toBeInstanceOf(
    ClosedPipe,
  );
  expect(tally.done).toBe(1);
  expect(await running.next()).toEqual({ value: undefined, done: true });
  expect(writer.calls).toEqual(['a.jpg', 'b\n.jpg', 'close']);
});

async function* compared(): AsyncGenerator<ImageOutcome> {
  yield { file: { path: 'a.jpg' }, records: [], errors: [] };
}

test('an image of which nothing is known yet counts, and nothing is written of it', async () => {
  const writer = noting();
  const tally = newTally();
  await deliver(compared(), [writer], tally, new Terminal(new Recorder()), quietly);
  expect(writer.calls).toEqual(['end', 'close']);
  expect(tally.done).toBe(1);
});

test('every writer is closed, also where another one cannot be', async () => {
  const broken = { ...noting(), close: async () => Promise.reject(new Error('cannot close')) };
  const writer = noting();
  const delivered = deliver(stream(), [broken, writer], newTally(), new Terminal(new Recorder()), quietly);
  await expect(delivered).rejects.toThrow('cannot close');
  expect(writer.calls.at(-1)).toBe('close');
});

/** Keeps the caption of each image in a file of its own. */
class Sidecars implements Writer {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async write(records: readonly OutputRecord[]): Promise<void> {
    const [record] = records;
    if (record === undefined || isFailed(record) || !('caption' in record)) return;
    const file = new FileDestination(join(this.#folder, `${basename(record.image)}.txt`));
    await file.open();
    await file.write(`${record.caption}\n`);
    await file.close();
  }

  async end(): Promise<void> {}

  async close(): Promise<void> {}
}

test('a file beside each image is written next to the stream of records', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'minigpt-delivery-'));
  onTestFinished(async () => rm(folder, { recursive: true }));
  const records = new RecordWriter(jsonl, new FileDestination(join(folder, 'all.jsonl')));
  await deliver(stream(), [records, new Sidecars(folder)], newTally(), new Terminal(new Recorder()), quietly);
  expect((await readdir(folder)).toSorted()).toEqual(['a.jpg.txt', 'all.jsonl', 'c.jpg.txt']);
  expect(await readFile(join(folder, 'a.jpg.txt'), 'utf8')).toBe('a\n');
  const lines = (await readFile(join(folder, 'all.jsonl'), 'utf8')).trimEnd().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as OutputRecord).image)).toEqual(['a.jpg', 'b\n.jpg', 'c.jpg']);
});
