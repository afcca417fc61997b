import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { planPool } from '../../../src/engine/answers/pool.ts';
import { readPack, type ModelDeclaration } from '../../../src/pack/model-declaration.ts';

let nano: ModelDeclaration;

beforeAll(async () => {
  nano = (await readPack(join(import.meta.dirname, '../../../models/nano'))).declaration;
});

/** The sizes of a model of 3.7 thousand million weights. */
const large = (): ModelDeclaration => ({
  ...nano,
  precision: 'fp32',
  files: [{ path: 'decoder.onnx.data', bytes: 15e9, sha256: '' }],
});

test('a small model is copied once per thread when there are images for every copy', () => {
  expect(planPool(nano, { compute: { threads: 2 }, images: 1000, batchSize: 32 })).toEqual({
    workers: 2,
    threadsPerWorker: 1,
    groupSize: 8,
  });
  expect(planPool(nano, { compute: { threads: 8 }, images: 1000, batchSize: 32 })).toEqual({
    workers: 8,
    threadsPerWorker: 1,
    groupSize: 8,
  });
});

test('few images are answered by one copy that uses all threads', () => {
  expect(planPool(nano, { compute: { threads: 2 }, images: 1, batchSize: 32 })).toEqual({
    workers: 1,
    threadsPerWorker: 2,
    groupSize: 1,
  });
  expect(planPool(nano, { compute: { threads: 4 }, images: 15, batchSize: 32 })).toEqual({
    workers: 1,
    threadsPerWorker: 4,
    groupSize: 8,
  });
});

test('a large model is held once, whatever the machine', () => {
  expect(planPool(large(), { compute: { threads: 16 }, images: 10_000, batchSize: 32 })).toEqual({
    workers: 1,
    threadsPerWorker: 16,
    groupSize: 8,
  });
});

test('copies stay within a gigabyte of weights, and share the threads evenly', () => {
  const plan = planPool(nano, { compute: { threads: 64 }, images: 10_000, batchSize: 32 });
  // nano holds 52 MB of float32 weights.
  expect(plan.workers).toBe(20);
  expect(plan.threadsPerWorker).toBe(3);
});

test('one thread is one copy', () => {
  expect(planPool(nano, { compute: { threads: 1 }, images: 1000, batchSize: 32 })).toEqual({
    workers: 1,
    threadsPerWorker: 1,
    groupSize: 8,
  });
});

// With batches of less than eight images, one copy did all the work: no more were in flight than a group for it has.
test('a group is no larger than a batch, so that small batches reach all copies', () => {
  for (let batchSize = 1; batchSize < 12; batchSize++) {
    const { workers, groupSize } = planPool(nano, { compute: { threads: 2 }, images: 1000, batchSize });
    const imagesInFlight = 3 * batchSize * workers;
    expect(groupSize).toBe(Math.min(batchSize, 8));
    // The pool grows when a copy has more than two groups open.
    expect(imagesInFlight).toBeGreaterThan(2 * groupSize);
  }
});
