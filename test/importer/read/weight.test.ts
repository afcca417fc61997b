/** Weights that are put together without reading anything give the numbers of doing it at once, whichever piece is asked for. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  addDelta,
  computedWeight,
  concatRows,
  elementCount,
  mergeLora,
  pieceRanges,
  readAll,
  reorderRows,
  reshaped,
  sliceRows,
  type Weight,
} from '../../../src/importer/read/weight.ts';
import { float16ToFloat32, float32ToFloat16 } from '../../../src/tensor/float16.ts';

/** A weight with the numbers 0, 1, 2, … from `first` on. */
function counting(name: string, shape: readonly number[], first = 0): Weight {
  return computedWeight(
    name,
    shape,
    Float32Array.from({ length: elementCount(shape) }, (_, index) => first + index),
  );
}

/** A weight that is stored in half precision. */
function half(name: string, values: readonly number[]): Weight {
  const rounded = float16ToFloat32(float32ToFloat16(Float32Array.from(values)));
  return { ...computedWeight(name, [values.length], rounded), dtype: 'F16' };
}

/** The nearest number in half precision. */
function half1(value: number): number | undefined {
  return float16ToFloat32(float32ToFloat16(Float32Array.of(value)))[0];
}

/** Every stretch of a weight is what the whole has there. */
async function expectStretchesOf(weight: Weight, whole: Float32Array): Promise<void> {
  expect(await readAll(weight)).toEqual(whole);
  for (let start = 0; start < whole.length; start++) {
    const count = Math.min(7, whole.length - start);
    expect(await weight.read(start, count)).toEqual(whole.slice(start, start + count));
  }
}

test('joined weights', async () => {
  const joined = concatRows(counting('a', [2, 3]), counting('b', [1, 3], 100), counting('c', [2, 3], 200));
  expect(joined.shape).toEqual([5, 3]);
  await expectStretchesOf(joined, Float32Array.of(0, 1, 2, 3, 4, 5, 100, 101, 102, 200, 201, 202, 203, 204, 205));
});

test('rows in any order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: 1 }), async (order) => {
      const reordered = reorderRows(counting('w', [6, 4]), order, 'shuffled');
      const expected = order.flatMap((row) => [0, 1, 2, 3].map((column) => row * 4 + column));
      await expectStretchesOf(reordered, Float32Array.from(expected));
    }),
  );
});

test('some rows, and another shape', async () => {
  await expectStretchesOf(sliceRows(counting('w', [4, 2]), 1, 2), Float32Array.of(2, 3, 4, 5));
  expect(reshaped(counting('w', [4, 2]), [2, 4]).shape).toEqual([2, 4]);
  expect(() => reshaped(counting('w', [4, 2]), [3, 3])).toThrow(/does not reshape/);
});

test('a low-rank adaptation is the base plus the scaled product of its factors', async () => {
  const [rows, inputs, rank] = [3, 4, 2];
  const base = counting('w', [rows, inputs]);
  const a = counting('a', [rank, inputs], 1);
  const b = counting('b', [rows, rank], -2);
  const [valuesA, valuesB] = [await readAll(a), await readAll(b)];
  const expected = (await readAll(base)).map((value, index) => {
    const [row, column] = [Math.floor(index / inputs), index % inputs];
    let product = 0;
    for (let r = 0; r < rank; r++) product += Number(valuesB[row * rank + r]) * Number(valuesA[r * inputs + column]);
    return value + 0.25 * product;
  });
  await expectStretchesOf(mergeLora(base, a, b, 0.25), expected);
});

describe('a published difference', () => {
  test('is added in half precision where both are stored so', async () => {
    const sum = addDelta(half('w', [1, 2048, 0.1]), half('w', [0.0001, 1.5, 0.2]));
    const exact = [1 + Number(half1(0.0001)), 2048 + 1.5, Number(half1(0.1)) + Number(half1(0.2))];
    expect(await readAll(sum)).toEqual(float16ToFloat32(float32ToFloat16(Float32Array.from(exact))));
    expect(sum.dtype).toBe('F16');
  });

  test('is added in single precision otherwise', async () => {
    const sum = addDelta(counting('w', [2], 0.5), half('w', [1, 2]));
    expect(await readAll(sum)).toEqual(Float32Array.of(1.5, 3.5));
  });
});

test('pieces hold whole rows, at most 16 MB, and are the weight in order', () => {
  expect([...pieceRanges([5, 3], 6)]).toEqual([{ start: 0, count: 15 }]);
  expect([...pieceRanges([5000, 1000], 1000)]).toEqual([
    { start: 0, count: 4_194_000 },
    { start: 4_194_000, count: 806_000 },
  ]);
  // A row that is longer than a piece is read as a whole.
  expect([...pieceRanges([2, 5_000_000], 5_000_000)].map(({ count }) => count)).toEqual([5_000_000, 5_000_000]);
});
