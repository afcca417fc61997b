import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { planPool } from '../../src/engine/inference-pool.ts';
import { readPack, type ModelDeclaration } from '../../src/pack/model-declaration.ts';

let nano: ModelDeclaration;

beforeAll(async () => {
  nano = (await readPack(join(import.meta.dirname, '../../models/nano'))).declaration;
});

/** The sizes of a model of 3.7 thousand million weights. */
const large = (): ModelDeclaration => ({
  ...nano,
  precision: 'fp32',
  files: [{ path: 'decoder.onnx.data', bytes: 15e9, sha256: '' }],
});

test('a small model is copied once per thread when there are images for every copy', () => {
  expect(planPool(nano, 2, 1000)).toEqual({ workers: 2, threadsPerWorker: 1, groupSize: 8 });
  expect(planPool(nano, 8, 1000)).toEqual({ workers: 8, threadsPerWorker: 1, groupSize: 8 });
});

test('few images are answered by one copy that uses all threads', () => {
  expect(planPool(nano, 2, 1)).toEqual({ workers: 1, threadsPerWorker: 2, groupSize: 1 });
  expect(planPool(nano, 4, 15)).toEqual({ workers: 1, threadsPerWorker: 4, groupSize: 8 });
});

test('a large model is held once, whatever the machine', () => {
  expect(planPool(large(), 16, 10_000)).toEqual({ workers: 1, threadsPerWorker: 16, groupSize: 8 });
});

test('copies stay within a gigabyte of weights, and share the threads evenly', () => {
  const plan = planPool(nano, 64, 10_000);
  // nano holds 52 MB of float32 weights.
  expect(plan.workers).toBe(20);
  expect(plan.threadsPerWorker).toBe(3);
});

test('one thread is one copy', () => {
  expect(planPool(nano, 1, 1000)).toEqual({ workers: 1, threadsPerWorker: 1, groupSize: 8 });
});
