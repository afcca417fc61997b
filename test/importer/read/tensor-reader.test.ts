import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { FileBytes } from '../../../src/importer/read/file-bytes.ts';
import { TensorReader } from '../../../src/importer/read/tensor-reader.ts';
import { TorchStorage } from '../../../src/importer/read/torch-storage.ts';
import { TorchTensor } from '../../../src/importer/read/torch-tensor.ts';

const ROWS = 2048;
const COLUMNS = 4096;
const BYTES = ROWS * COLUMNS * 4;
/** Bytes in front of the storage. */
const POSITION = 100;

const directory = mkdtempSync(join(tmpdir(), 'minigpt-tensor-'));
const path = join(directory, 'storage');
let file: FileBytes;

beforeAll(async () => {
  const values = Uint32Array.from({ length: ROWS * COLUMNS }, (_, index) => index);
  await writeFile(path, Buffer.concat([Buffer.alloc(POSITION), Buffer.from(values.buffer)]));
  file = await FileBytes.open(path);
});
afterEach(() => vi.restoreAllMocks());
afterAll(async () => {
  await file.close();
  rmSync(directory, { recursive: true });
});

function tensorOf(offset: number, size: number[], stride: number[]): TorchTensor {
  const storage = new TorchStorage('0', 'I32', ROWS * COLUMNS, POSITION);
  const view = { offset: BigInt(offset), sizes: size.map(BigInt), strides: stride.map(BigInt) };
  return TorchTensor.of(path, storage, 'I32', view);
}

/** Bytes that were read from the file since. */
function countBytes(): () => number {
  const read = vi.spyOn(file, 'read');
  return () => read.mock.calls.reduce((sum, [, length]) => sum + length, 0);
}

/** The tensor in pieces of `length` bytes, one after the other. */
async function inPieces(reader: TensorReader, tensor: TorchTensor, length: number): Promise<Int32Array> {
  const bytes = new Uint8Array(tensor.byteLength);
  for (let start = 0; start < bytes.length; start += length) {
    bytes.set(await reader.read(tensor, start, Math.min(length, bytes.length - start)), start);
  }
  return new Int32Array(bytes.buffer);
}

describe('a tensor', () => {
  test('that lies in one piece is read as it lies, from any byte on', async () => {
    const reader = new TensorReader(file);
    const read = countBytes();
    expect([...(await reader.read(tensorOf(3, [2, 4], [4, 1]), 4, 9))]).toEqual([4, 0, 0, 0, 5, 0, 0, 0, 6]);
    expect(read()).toBe(9);
  });

  test('that is a block of columns is read in pieces, each about as large as what it covers', async () => {
    const tensor = tensorOf(1024, [ROWS, 2048], [COLUMNS, 1]);
    const read = countBytes();
    const values = await inPieces(new TensorReader(file), tensor, 1_000_003);
    expect(read()).toBeLessThan(1.2 * BYTES);
    for (let index = 0; index < values.length; index += 4099) {
      expect(values[index]).toBe(Math.floor(index / 2048) * COLUMNS + 1024 + (index % 2048));
    }
  });

  test.each([2 ** 20, 1_500_001])(
    'that is transposed is read in pieces of %i bytes in a few passes',
    async (length) => {
      const tensor = tensorOf(0, [COLUMNS, ROWS], [1, COLUMNS]);
      const read = countBytes();
      const values = await inPieces(new TensorReader(file), tensor, length);
      // More than twenty pieces, gathered as 1, 2, 4, 8 and 16 times the first one, and the rest.
      expect(read()).toBeLessThan(6.1 * BYTES);
      const wrong = values.findIndex((value, index) => value !== (index % ROWS) * COLUMNS + Math.floor(index / ROWS));
      expect(wrong).toBe(-1);
    },
  );

  test('that is transposed is read in one piece with one pass over the storage', async () => {
    const read = countBytes();
    const values = await inPieces(new TensorReader(file), tensorOf(0, [COLUMNS, ROWS], [1, COLUMNS]), BYTES);
    expect(read()).toBeLessThanOrEqual(BYTES);
    expect(values[ROWS + 1]).toBe(COLUMNS + 1);
  });

  test('that is transposed gives a row of its own without gathering the others', async () => {
    const read = countBytes();
    const reader = new TensorReader(file);
    const tensor = tensorOf(0, [COLUMNS, ROWS], [1, COLUMNS]);
    const bytes = await reader.read(tensor, 77 * ROWS * 4, ROWS * 4);
    expect([...new Int32Array(bytes.buffer)]).toEqual(Array.from({ length: ROWS }, (_, row) => row * COLUMNS + 77));
    expect(read()).toBeLessThanOrEqual(BYTES);
  });

  test('gives the same bytes in any order, from any byte on', async () => {
    const tensor = tensorOf(5, [40, 30], [1, 41]);
    const whole = await new TensorReader(file).read(tensor);
    const reader = new TensorReader(file);
    const other = tensorOf(9, [20, 20], [1, 30]);
    for (const [start, length] of [
      [0, 100],
      [100, 100],
      [200, 301],
      [501, 99],
      [37, 64],
      [4700, 100],
      [0, 4800],
      [4800, 0],
    ] as const) {
      const piece = await reader.read(tensor, start, length);
      expect([...piece]).toEqual([...whole.subarray(start, start + length)]);
      if (start === 200) await reader.read(other);
    }
  });

  test('has no bytes outside of it', async () => {
    const reader = new TensorReader(file);
    const tensor = tensorOf(0, [2, 2], [1, 2]);
    await expect(reader.read(tensor, 8, 9)).rejects.toThrow(RangeError);
    await expect(reader.read(tensor, -1, 2)).rejects.toThrow(RangeError);
    await expect(reader.read(tensor, 0.5, 2)).rejects.toThrow(RangeError);
  });
});
