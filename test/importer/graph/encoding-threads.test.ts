/** Threads that encode: the same bytes as without them, the same errors, and an end. The compiled entry is run, since a thread cannot be started from TypeScript. */
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { CheckpointError, MinigptError } from '../../../src/errors.ts';
import type { EncodedPiece } from '../../../src/importer/graph/encoding.ts';
import { EncodingThreads } from '../../../src/importer/graph/encoding-threads.ts';
import { ExternalData } from '../../../src/importer/graph/external-data.ts';
import { encodeHere, piecesOf, type WeightPiece } from '../../../src/importer/graph/weight-piece.ts';
import type { WeightStorage } from '../../../src/importer/graph/weight-storage.ts';
import { SafetensorsFile } from '../../../src/importer/read/safetensors.ts';
import {
  addDelta,
  computedWeight,
  concatRows,
  readAll,
  reorderRows,
  reshaped,
  sliceRows,
  type Weight,
} from '../../../src/importer/read/weight.ts';
import { CheckpointWeights } from '../../../src/importer/read/weights.ts';
import { float32ToFloat16 } from '../../../src/tensor/float16.ts';
import { requireFreshBuild } from '../../fresh-build.ts';
import { writeSafetensors } from '../write-safetensors.ts';
import { bellShaped } from './stored-graph.ts';

const ENTRY = new URL('../../../dist/importer/graph/encoding-worker.js', import.meta.url);
requireFreshBuild();
const STORAGES: WeightStorage[] = ['fp32', 'fp16', 'int12', 'int8', 'int4'];
const SHAPE = [260, 256];
const COUNT = 260 * 256;

let folder: string;
let path: string;
let file: SafetensorsFile;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-threads-'));
  path = join(folder, 'model.safetensors');
  const names = ['a', 'b', 'c'];
  const tensors = names.map((name, seed) => [name, { shape: SHAPE, values: bellShaped(COUNT, seed) }] as const);
  await writeSafetensors(path, Object.fromEntries(tensors));
  file = await SafetensorsFile.open(path);
});

afterEach(async () => {
  await file.close();
  await rm(folder, { recursive: true });
});

/** A tensor of the file. */
function stored(name: string): Weight {
  const tensors = [...file.tensors].map(([key, tensor]) => [key, { tensor, file }] as const);
  return new CheckpointWeights(new Map(tensors), { where: path }).take(name, SHAPE);
}

function startThreads(count: number, script = ENTRY): EncodingThreads {
  const threads = new EncodingThreads(count, script);
  onTestFinished(async () => threads.close());
  return threads;
}

function bytesOfParts(pieces: readonly EncodedPiece[]): Map<string, Buffer> {
  return new Map(pieces.map(({ role, bytes }) => [role, Buffer.from(bytes)]));
}

function pieceOf(weight: Weight, storage: WeightStorage): WeightPiece {
  const [piece] = piecesOf(weight, storage);
  if (piece === undefined) throw new Error('a weight has a piece');
  return piece;
}

describe('a piece that is encoded in a thread has the bytes of one that is encoded here, where the weight', () => {
  const order = Array.from({ length: 260 }, (_, row) => (row * 7) % 260);
  const cases: [string, () => Weight][] = [
    ['is a tensor', () => stored('b')],
    ['is joined of tensors', () => concatRows(stored('c'), stored('a'))],
    ['is a part of a tensor', () => sliceRows(stored('a'), 3, 200)],
    ['has its rows in another order', () => reorderRows(stored('a'), order, 'shuffled')],
    ['has another shape', () => reshaped(stored('c'), [256, 260])],
    ['is a sum, which lies nowhere', () => addDelta(stored('a'), stored('b'))],
    ['was computed', () => computedWeight('table', SHAPE, bellShaped(COUNT, 9))],
  ];
  test.each(cases)('%s', async (_, make) => {
    const threads = startThreads(2);
    for (const storage of STORAGES) {
      const piece = pieceOf(make(), storage);
      const received = bytesOfParts(await threads.encode(piece));
      // Asked for again afterwards: nothing that the thread was given belonged to the weight.
      const expected = bytesOfParts(await encodeHere.encode(piece));
      expect([...received.keys()]).toEqual([...expected.keys()]);
      for (const [role, bytes] of expected) expect(received.get(role)?.equals(bytes), `${storage} ${role}`).toBe(true);
    }
  });

  test('is stored in half precision', async () => {
    const halves = float32ToFloat16(bellShaped(COUNT, 4));
    const header = JSON.stringify({ h: { dtype: 'F16', shape: SHAPE, data_offsets: [0, 2 * COUNT] } }).padEnd(80);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(80n);
    const halfPath = join(folder, 'half.safetensors');
    await writeFile(halfPath, Buffer.concat([length, Buffer.from(header), Buffer.from(halves.buffer)]));
    const half = await SafetensorsFile.open(halfPath);
    onTestFinished(async () => half.close());
    const tensor = half.tensors.get('h');
    if (tensor === undefined) throw new Error('the file holds h');
    const weights = new CheckpointWeights(new Map([['h', { tensor, file: half }]]), { where: halfPath });
    const piece = pieceOf(weights.take('h', SHAPE), 'fp16');
    const [encoded] = await startThreads(1).encode(piece);
    expect(Buffer.from(encoded?.bytes ?? []).equals(Buffer.from(halves.buffer))).toBe(true);
  });
});

test('files are the same with no thread, one, or three, whichever piece is ready first', async () => {
  const external = new ExternalData();
  for (const storage of STORAGES) {
    for (const name of ['a', 'b', 'c'])
      external.place({ ...stored(name), name: `${storage}.${name}` }, storage, 'w.data');
    external.place(
      computedWeight(`${storage}.bias`, [7], bellShaped(7, 1)),
      storage === 'int8' || storage === 'int4' ? 'fp32' : storage,
      'w.data',
    );
  }
  const write = async (threads?: EncodingThreads): Promise<Buffer> => {
    await external.write(folder, () => {}, undefined, threads);
    return readFile(join(folder, 'w.data'));
  };
  const alone = await write();
  for (const count of [1, 3]) expect((await write(startThreads(count))).equals(alone), `${count} threads`).toBe(true);
});

describe('an error says in a thread what it says here', () => {
  test('a file that has become shorter is named with the byte', async () => {
    const piece = pieceOf(stored('c'), 'int8');
    await truncate(path, 2 * 4 * COUNT);
    const error = await startThreads(1)
      .encode(piece)
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error).toMatchObject({ path, fault: 'truncated' });
    expect((error as CheckpointError).message).toMatch(/model\.safetensors: \d+ bytes are expected at byte \d+/);
  });

  test.each(['int12', 'int8', 'int4'] as const)(
    'a value that %s cannot store is named with tensor and file',
    async (storage) => {
      const values = bellShaped(COUNT, 0);
      values[COUNT - 5] = NaN;
      await file.close();
      await writeSafetensors(path, { a: { shape: SHAPE, values } });
      file = await SafetensorsFile.open(path);
      const piece = pieceOf(stored('a'), storage);
      const message = `${path}: tensor a contains NaN`;
      await expect(encodeHere.encode(piece)).rejects.toThrow(message);
      const error = await startThreads(1)
        .encode(piece)
        .catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(CheckpointError);
      expect((error as CheckpointError).message.startsWith(message)).toBe(true);
    },
  );

  test('and the pieces after it are encoded', async () => {
    const threads = startThreads(1);
    const broken = { ...stored('a'), stretches: () => [{ path: `${path}.gone`, position: 0, length: 4 * COUNT }] };
    const failed = threads.encode(pieceOf(broken, 'int8'));
    const next = pieceOf(stored('b'), 'int8');
    const encoded = threads.encode(next);
    await expect(failed).rejects.toThrow(/model\.safetensors\.gone: the file cannot be opened/);
    const expected = bytesOfParts(await encodeHere.encode(next)).get('columns');
    expect(expected?.equals(bytesOfParts(await encoded).get('columns') ?? Buffer.alloc(0))).toBe(true);
  });
});

test('closing rejects what waits, and everything afterwards', async () => {
  const threads = startThreads(1);
  const piece = pieceOf(stored('a'), 'int4');
  const waiting = expect(threads.encode(piece)).rejects.toThrow('a thread of the import was closed before it answered');
  await threads.close();
  await waiting;
  await expect(threads.encode(piece)).rejects.toThrow(MinigptError);
});

test('a thread that breaks down rejects its pieces instead of leaving them open', async () => {
  const script = new URL(`data:text/javascript,${encodeURIComponent("throw new Error('no memory')")}`);
  const encoded = startThreads(1, script).encode(pieceOf(stored('a'), 'int4'));
  await expect(encoded).rejects.toThrow('a thread of the import broke down: no memory');
});

test('a small piece is not worth sending', async () => {
  const script = new URL(`data:text/javascript,${encodeURIComponent("throw new Error('never asked')")}`);
  const bias = computedWeight('bias', [100], bellShaped(100, 1));
  expect(await startThreads(1, script).encode(pieceOf(bias, 'fp32'))).toEqual([
    { role: 'values', bytes: new Uint8Array((await readAll(bias)).buffer) },
  ]);
});

test('an abort ends writing between two pieces, and the threads can be closed', async () => {
  const external = new ExternalData();
  for (const name of ['a', 'b', 'c']) external.place(stored(name), 'int4', 'w.data');
  const threads = startThreads(2);
  const controller = new AbortController();
  let written = 0;
  const writing = external.write(
    folder,
    (bytes) => {
      written += bytes;
      controller.abort();
    },
    controller.signal,
    threads,
  );
  await expect(writing).rejects.toThrow(/abort/i);
  expect(written).toBeLessThan(external.totalBytes);
  await threads.close();
});
