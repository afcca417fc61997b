import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  biasByDistance,
  encoderBias,
  relativeBucket,
  stepBias,
  type RelativeBuckets,
} from '../../../src/importer/graph/relative-bias.ts';
import { MASKED } from '../../../src/importer/graph/positions.ts';
import { computedWeight, readAll } from '../../../src/importer/read/weight.ts';
import { float32Tensor, int64Tensor } from '../../../src/runtime/session.ts';
import { runGraph } from './run-graph.ts';

const FLAN_ENCODER: RelativeBuckets = { numBuckets: 32, maxDistance: 128, isBidirectional: true };
const FLAN_DECODER: RelativeBuckets = { numBuckets: 32, maxDistance: 128, isBidirectional: false };

/** The bucket of `steps`, from the distances at which the buckets behind the exact ones begin. */
function byThresholds(steps: number, exact: number, thresholds: readonly number[]): number {
  return steps < exact ? steps : exact - 1 + thresholds.filter((threshold) => threshold <= steps).length;
}

const buckets = fc.record({
  numBuckets: fc.integer({ min: 2, max: 24 }).map((half) => 2 * half),
  maxDistance: fc.integer({ min: 25, max: 300 }),
  isBidirectional: fc.boolean(),
});

describe('the bucket of a distance', () => {
  test('is the published one in an encoder with 32 buckets up to 128, on both sides', () => {
    const thresholds = [8, 12, 16, 23, 32, 46, 64, 91];
    for (let steps = 0; steps < 600; steps++) {
      const expected = byThresholds(steps, 8, thresholds);
      expect(relativeBucket(-steps, FLAN_ENCODER)).toBe(expected);
      if (steps > 0) expect(relativeBucket(steps, FLAN_ENCODER)).toBe(16 + expected);
    }
  });

  test('is the published one in a decoder with 32 buckets up to 128', () => {
    const thresholds = [16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113];
    for (let steps = 0; steps < 600; steps++) {
      expect(relativeBucket(-steps, FLAN_DECODER)).toBe(byThresholds(steps, 16, thresholds));
    }
  });

  test('never falls as the key moves away, and is the last one from the greatest distance on', () => {
    fc.assert(
      fc.property(buckets, fc.nat(400), (given, steps) => {
        const last = (given.isBidirectional ? given.numBuckets / 2 : given.numBuckets) - 1;
        const bucket = relativeBucket(-steps, given);
        expect(relativeBucket(-steps - 1, given)).toBeGreaterThanOrEqual(bucket);
        expect(bucket).toBeLessThanOrEqual(last);
        if (steps >= given.maxDistance) expect(bucket).toBe(last);
      }),
    );
  });

  test('is one for each of the nearest distances, which no other distance shares', () => {
    fc.assert(
      fc.property(buckets, (given) => {
        const exact = Math.floor((given.isBidirectional ? given.numBuckets / 2 : given.numBuckets) / 2);
        const near = Array.from({ length: exact }, (_, steps) => relativeBucket(-steps, given));
        expect(near).toEqual([...near.keys()]);
        expect(relativeBucket(-exact, given)).toBeGreaterThanOrEqual(exact);
      }),
    );
  });
});

const HEADS = 3;

/** Learned rows in which bucket and head can be read off: 10·bucket + head. */
function learned(numBuckets: number) {
  const values = Float32Array.from({ length: numBuckets * HEADS }, (_, i) => 10 * Math.floor(i / HEADS) + (i % HEADS));
  return computedWeight('relative_attention_bias.weight', [numBuckets, HEADS], values);
}

test('the table has a row for every distance, kept in float32 whatever the pack’s precision', async () => {
  const small: RelativeBuckets = { numBuckets: 4, maxDistance: 3, isBidirectional: false };
  const table = biasByDistance(learned(4), small);
  expect(table).toMatchObject({ shape: [4, HEADS], exact: true });
  const rows = [-3, -2, -1, 0].map((distance) => relativeBucket(distance, small));
  expect([...(await readAll(table))]).toEqual(
    rows.flatMap((bucket) => [10 * bucket, 10 * bucket + 1, 10 * bucket + 2]),
  );
});

test.each([
  ['more positions than the greatest distance', 9],
  ['a single position', 1],
])('the encoder’s bias is that of each key’s distance from each query, over %s', async (_, T) => {
  const given: RelativeBuckets = { numBuckets: 8, maxDistance: 6, isBidirectional: true };
  const { bias = new Float32Array() } = await runGraph(
    (g) => ({ bias: encoderBias(g, biasByDistance(learned(8), given), g.input('x', 'float', ['B', 'T', 2]), 6) }),
    { x: float32Tensor(new Float32Array(2 * T * 2), [2, T, 2]) },
  );
  const expected = [0, 1, 2].flatMap((head) =>
    Array.from({ length: T * T }, (__, i) => 10 * relativeBucket((i % T) - Math.floor(i / T), given) + head),
  );
  expect([...bias]).toEqual(expected);
});

test('the bias of a step counts from each row’s own position, and masks what the row has not written', async () => {
  const given: RelativeBuckets = { numBuckets: 6, maxDistance: 5, isBidirectional: false };
  const positions = [0, 3, 9];
  const C = 9;
  const { bias = new Float32Array() } = await runGraph(
    (g) => {
      const table = biasByDistance(learned(6), given);
      const cached = g.input('cached', 'float', ['B', HEADS, 'C', 2]);
      return { bias: stepBias(g, table, g.input('position_ids', 'int64', ['B', 1]), cached, 5) };
    },
    {
      position_ids: int64Tensor(positions, [3, 1]),
      cached: float32Tensor(new Float32Array(3 * HEADS * C * 2), [3, HEADS, C, 2]),
    },
  );
  const expected = positions.flatMap((position) =>
    [0, 1, 2].flatMap((head) => [
      ...Array.from({ length: C }, (_, key) =>
        key < position ? 10 * relativeBucket(key - position, given) + head : undefined,
      ),
      head,
    ]),
  );
  expect(bias).toHaveLength(expected.length);
  expected.forEach((value, i) => {
    if (value === undefined) expect(bias[i]).toBeLessThanOrEqual(MASKED / 2);
    else expect(bias[i]).toBe(value);
  });
});
