/** How models are loaded. What is expected was worked out by hand from the sizes that the tests name. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { planCompute, planMatching, planPool, planWriting, type WritingWork } from '../../src/engine/load-plan.ts';
import { readPack, type ModelDeclaration } from '../../src/pack/model-declaration.ts';

let nano: ModelDeclaration;

beforeAll(async () => {
  nano = (await readPack(join(import.meta.dirname, '../../models/nano'))).declaration;
});

/** The sizes of OPT-2.7b: 655,360 bytes of cache for each position of a row. */
function large(): ModelDeclaration {
  if (nano.language === undefined) throw new Error('nano should have a language model');
  const language = { ...nano.language, numHiddenLayers: 32, numKeyValueHeads: 32, headDim: 80 };
  return { ...nano, numImageTokens: 32, language };
}

const captions = (images: number): WritingWork => ({ images, answersPerImage: 1, decoding: { maxNewTokens: 20 } });

/** Places that an automatic batch has. */
function batchOf(work: Partial<WritingWork>): number {
  return planWriting(large(), { ...captions(1000), ...work }, { batchSize: 'auto' }).batchSize;
}

test('every core computes where nothing is said', () => {
  expect(planCompute(undefined)).toEqual({ threads: availableParallelism() });
  expect(planCompute(3)).toEqual({ threads: 3 });
});

describe('a batch of answers', () => {
  test('has no more places than there are answers, and no more than pay', () => {
    const wishes = { threads: 2, batchSize: 'auto' } as const;
    expect(planWriting(nano, captions(3), wishes)).toEqual({ compute: { threads: 2 }, images: 3, batchSize: 3 });
    expect(planWriting(nano, { ...captions(3), answersPerImage: 2 }, wishes).batchSize).toBe(6);
    expect(planWriting(nano, captions(1000), wishes).batchSize).toBe(32);
  });

  test('is as large as the caller wants', () => {
    const wishes = { threads: 1, batchSize: 64 };
    expect(planWriting(nano, captions(3), wishes)).toEqual({ compute: { threads: 1 }, images: 3, batchSize: 64 });
  });

  describe('of a large model', () => {
    test('keeps its cache within half a gigabyte', () => {
      // 84 positions: 55,050,240 bytes for a row, and nine of them are 495,452,160.
      expect(batchOf({})).toBe(9);
      expect(batchOf({ decoding: { maxNewTokens: 20, search: { kind: 'beams', beams: 5, lengthPenalty: 1 } } })).toBe(
        1,
      );
    });

    test('has at least one place', () => {
      expect(batchOf({ decoding: { maxNewTokens: 1900 } })).toBe(1);
    });

    test('counts the rows and the lengths of choices, not the length of an answer', () => {
      const decoding = { maxNewTokens: 500 };
      // 69 positions in two rows: 90,439,680 bytes for an answer.
      expect(batchOf({ decoding, choices: ['yes', 'no'] })).toBe(5);
      // Eight rows of 67 positions: 351,272,960 bytes.
      expect(batchOf({ decoding, choices: ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l'] })).toBe(1);
      // Two rows of 166 positions: 217,579,520 bytes.
      expect(batchOf({ decoding, choices: ['yes', 'n'.repeat(100)] })).toBe(2);
    });
  });
});

test('images that are matched are embedded eight at a time, or as many as there are', () => {
  expect(planMatching(1000, { threads: 2, batchSize: 'auto' })).toEqual({ compute: { threads: 2 }, batchSize: 8 });
  expect(planMatching(3, { threads: 2, batchSize: 'auto' }).batchSize).toBe(3);
  expect(planMatching(3, { threads: 2, batchSize: 20 }).batchSize).toBe(20);
});

describe('a pool', () => {
  test('copies a small model once per thread when there are images for every copy', () => {
    const work = { images: 1000, batchSize: 32 };
    expect(planPool(nano, { ...work, compute: { threads: 2 } })).toEqual({
      workers: 2,
      threadsPerWorker: 1,
      groupSize: 8,
    });
    expect(planPool(nano, { ...work, compute: { threads: 8 } })).toEqual({
      workers: 8,
      threadsPerWorker: 1,
      groupSize: 8,
    });
    expect(planPool(nano, { ...work, compute: { threads: 1 } })).toEqual({
      workers: 1,
      threadsPerWorker: 1,
      groupSize: 8,
    });
  });

  test('has one copy with all threads for few images', () => {
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

  test('holds a large model once, whatever the machine', () => {
    const files = [{ path: 'decoder.onnx.data', bytes: 15e9, sha256: '' }];
    expect(
      planPool({ ...nano, precision: 'fp32', files }, { compute: { threads: 16 }, images: 10_000, batchSize: 32 }),
    ).toEqual({
      workers: 1,
      threadsPerWorker: 16,
      groupSize: 8,
    });
  });

  test('keeps its copies within a gigabyte of weights, and they share the threads evenly', () => {
    // nano holds 52 MB of float32 weights.
    expect(planPool(nano, { compute: { threads: 64 }, images: 10_000, batchSize: 32 })).toEqual({
      workers: 20,
      threadsPerWorker: 3,
      groupSize: 8,
    });
  });

  // With batches of less than eight images, one copy did all the work: no more were in flight than a group for it has.
  test.each([
    [1, 1],
    [2, 2],
    [7, 7],
    [8, 8],
    [11, 8],
  ])('sends no larger groups than a batch: with batches of %i, groups of %i', (batchSize, groupSize) => {
    expect(planPool(nano, { compute: { threads: 2 }, images: 1000, batchSize }).groupSize).toBe(groupSize);
  });
});
