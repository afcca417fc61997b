/** Where weights lie in their files, and that the files are what was planned. */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ExternalData } from '../../../src/importer/graph/external-data.ts';
import type { WeightStorage } from '../../../src/importer/graph/weight-storage.ts';
import { bellShaped, trainedWeight } from './stored-graph.ts';

const STORAGES: WeightStorage[] = ['fp32', 'fp16', 'int12', 'int8', 'int4'];
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-weights-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** Every storage in both files, the second weight large enough to lie on a page of its own. */
function placeAll(): ExternalData {
  const external = new ExternalData();
  for (const storage of STORAGES) {
    external.place(trainedWeight('small', [3, 5], bellShaped(15, 1)), storage, 'a.onnx.data');
    external.place(trainedWeight('large', [1030, 1024], bellShaped(1030 * 1024, 2)), storage, 'b.onnx.data');
    external.place(trainedWeight('vector', [7], bellShaped(7, 3)), 'fp32', 'b.onnx.data');
  }
  return external;
}

test('the checksums are those of the files as they lie there', async () => {
  const digests = await placeAll().write(folder, () => {});
  expect(digests.map(({ path }) => path)).toEqual(['a.onnx.data', 'b.onnx.data']);
  for (const { path, bytes, sha256 } of digests) {
    const file = await readFile(join(folder, path));
    expect(file.length).toBe(bytes);
    expect(createHash('sha256').update(file).digest('hex')).toBe(sha256);
  }
});

test('the bytes reported while writing are those of the weights', async () => {
  const external = placeAll();
  let reported = 0;
  await external.write(folder, (bytes) => {
    reported += bytes;
  });
  expect(reported).toBe(external.shares.reduce((sum, share) => sum + share.bytes, 0));
});

test('every part lies where it was planned, none over another, large ones on a page', async () => {
  const external = placeAll();
  const matrix = external.place(trainedWeight('small', [3, 5], []), 'int8', 'elsewhere');
  expect(matrix.location).toBe('a.onnx.data');
  await external.write(folder, () => {});
  const file = await readFile(join(folder, 'a.onnx.data'));
  const [columns = NaN, scale = NaN] = [...matrix.parts.values()].map(({ offset }) => offset);
  bellShaped(15, 1).forEach((value, i) => {
    const [n, k] = [Math.floor(i / 5), i % 5];
    const decoded = file.readInt8(columns + k * 3 + n) * file.readFloatLE(scale + 4 * n);
    expect(Math.abs(decoded - value)).toBeLessThan(0.02);
  });
  let end = 0;
  for (const storage of STORAGES) {
    for (const part of external.place(trainedWeight('large', [1030, 1024], []), storage, 'x').parts.values()) {
      expect(part.offset).toBeGreaterThanOrEqual(end);
      expect(part.offset % (part.length >= 2 ** 20 ? 4096 : 64)).toBe(0);
      end = part.offset + part.length;
    }
  }
});

test('a weight is stored once for each way of storing it, whoever asks', () => {
  const external = new ExternalData();
  const table = trainedWeight('embed_tokens.weight', [6, 4], bellShaped(24, 1));
  external.place(table, 'fp16', 'embed_tokens.onnx.data');
  external.place(table, 'int8', 'decoder.onnx.data');
  external.place(table, 'int8', 'elsewhere.onnx.data');
  expect(external.shares).toEqual([
    { location: 'embed_tokens.onnx.data', storage: 'fp16', weights: 1, bytes: 24 * 2 },
    { location: 'decoder.onnx.data', storage: 'int8', weights: 1, bytes: 24 + 6 * 4 },
  ]);
  expect(external.totalBytes).toBe(24 * 2 + 64 + 6 * 4);
});

test('writing stops between two pieces when it is aborted', async () => {
  const controller = new AbortController();
  const writing = placeAll().write(folder, () => controller.abort(), controller.signal);
  await expect(writing).rejects.toThrow(/abort/i);
});
