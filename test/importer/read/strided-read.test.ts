import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  isContiguous,
  isInFileOrder,
  readStrided,
  simplified,
  type StridedView,
} from '../../../src/importer/read/strided-read.ts';

/** Bytes that are not the same anywhere near one another. */
function storageOf(bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, index) => (index * 167 + (index >> 8) * 31) % 256);
}

/** The elements one by one, as the definition of a strided view says. */
function gatherNaively(storage: Uint8Array, { shape, strides, width, position }: StridedView): Uint8Array {
  const count = shape.reduce((product, size) => product * size, 1);
  const result = new Uint8Array(count * width);
  for (let element = 0; element < count; element++) {
    let rest = element;
    let from = 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis] ?? 1;
      from += (rest % size) * (strides[axis] ?? 0);
      rest = Math.floor(rest / size);
    }
    const begin = position + from * width;
    result.set(storage.subarray(begin, begin + width), element * width);
  }
  return result;
}

/** Reads from memory, refusing what lies outside of it. */
function reader(storage: Uint8Array): (position: number, length: number) => Promise<Uint8Array> {
  return async (position, length) => {
    expect(position).toBeGreaterThanOrEqual(0);
    expect(position + length).toBeLessThanOrEqual(storage.length);
    return storage.slice(position, position + length);
  };
}

function viewOf(shape: number[], strides: number[]): StridedView {
  return simplified({ shape, strides, width: 1, position: 0 });
}

/** Any view, with a storage that just holds it: strides in any order, zeros and overlaps included. */
const anyView = fc
  .record({
    axes: fc.array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 40 })), { maxLength: 5 }),
    width: fc.constantFrom(1, 2, 4, 8),
    offset: fc.nat(9),
  })
  .map(({ axes, width, offset }) => {
    const shape = axes.map(([size]) => size);
    const strides = axes.map(([, stride]) => stride);
    const span = axes.reduce((sum, [size, stride]) => sum + (size - 1) * stride, 1);
    const storage = storageOf((offset + span) * width);
    return { storage, view: { shape, strides, width, position: offset * width } };
  });

describe('a strided view is gathered', () => {
  test('as the definition says, for any shape, strides, offset and range', async () => {
    await fc.assert(
      fc.asyncProperty(anyView, fc.nat(), fc.nat(), async ({ storage, view }, a, b) => {
        const wanted = gatherNaively(storage, view);
        const count = wanted.length / view.width;
        const [first, end] = [a % (count + 1), b % (count + 1)].toSorted((x, y) => x - y) as [number, number];
        const found = await readStrided(reader(storage), simplified(view), first, end - first);
        expect([...found]).toEqual([...wanted.subarray(first * view.width, end * view.width)]);
      }),
      { numRuns: 1000 },
    );
  });

  test('when it spans many chunks of the file, sparse or dense', async () => {
    // 20 MB of storage, more than two chunks.
    const storage = storageOf(20 * 2 ** 20);
    const views: StridedView[] = [
      { shape: [100, 2500], strides: [1, 1000], width: 8, position: 0 },
      { shape: [2500, 100], strides: [1000, 1], width: 8, position: 0 },
      { shape: [3, 7], strides: [1, 100_000], width: 4, position: 8 },
      { shape: [5, 20, 3], strides: [2, 50_000, 1], width: 2, position: 2 },
      { shape: [2, 3000, 2], strides: [1, 3000, 9_000_000], width: 1, position: 5 },
      { shape: [400_000], strides: [50], width: 1, position: 0 },
      { shape: [10, 20_000], strides: [7, 200], width: 4, position: 0 },
      { shape: [2, 100_000], strides: [4_000_000, 1], width: 4, position: 0 },
    ];
    for (const view of views) {
      const wanted = gatherNaively(storage, view);
      const count = wanted.length / view.width;
      const found = await readStrided(reader(storage), simplified(view), 0, count);
      expect(Buffer.compare(found, wanted)).toBe(0);
      const middle = Math.floor(count / 3);
      const part = await readStrided(reader(storage), simplified(view), middle, middle);
      expect(Buffer.compare(part, wanted.subarray(middle * view.width, 2 * middle * view.width))).toBe(0);
    }
  });
});

describe('a simplified view', () => {
  test('has the same elements in the same order', () => {
    fc.assert(
      fc.property(anyView, ({ storage, view }) => {
        const simple = simplified(view);
        expect([...gatherNaively(storage, simple)]).toEqual([...gatherNaively(storage, view)]);
        expect(simple.shape.length).toBeLessThanOrEqual(view.shape.length);
        expect(simple.shape).not.toContain(1);
      }),
    );
  });

  test.each([
    [[2, 3, 4], [12, 4, 1], [24], [1]],
    [[2, 1, 4], [4, 999, 1], [8], [1]],
    [[2, 3, 4], [24, 8, 2], [24], [2]],
    [
      [4, 3],
      [1, 4],
      [4, 3],
      [1, 4],
    ],
    [
      [2, 3, 4],
      [100, 4, 1],
      [2, 12],
      [100, 1],
    ],
    [[], [], [], []],
    [[1, 1], [5, 7], [], []],
  ])('of shape %j and strides %j has shape %j and strides %j', (shape, strides, simpleShape, simpleStrides) => {
    const simple = viewOf(shape, strides);
    expect(simple).toMatchObject({ shape: simpleShape, strides: simpleStrides });
  });

  test('says whether it lies in the file as it is read', () => {
    expect(isContiguous(viewOf([2, 3], [3, 1]))).toBe(true);
    expect(isContiguous(viewOf([], []))).toBe(true);
    expect(isContiguous(viewOf([0, 3], [7, 9]))).toBe(true);
    expect(isContiguous(viewOf([2, 3], [4, 1]))).toBe(false);
    expect(isContiguous(viewOf([3], [2]))).toBe(false);
    expect(isInFileOrder(viewOf([2, 3], [4, 1]))).toBe(true);
    expect(isInFileOrder(viewOf([3, 2], [1, 4]))).toBe(false);
    expect(isInFileOrder(viewOf([4, 3], [0, 1]))).toBe(false);
  });
});
