import { assert, asyncProperty, integer } from 'fast-check';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { axisWeights, FRACTION_BITS, GROUP, LOW_BITS, type AxisWeights } from '../../src/images/axis-weights.ts';
import { resampleBicubic } from '../../src/images/resample.ts';
import { giveBack, takeKernel } from '../../src/images/resample-kernel.ts';
import type { RgbImage } from '../../src/images/rgb-image.ts';

/** An image of bytes that look random. */
function noise(width: number, height: number): RgbImage {
  let state = width * 65_537 + height;
  const data = new Uint8Array(width * height * 3).map(() => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return state >>> 24;
  });
  return { width, height, data };
}

/** The weights of pixel `x`, whole. */
function weightsOf({ begin, weights }: AxisWeights, x: number): number[] {
  const groups = Array.from({ length: (begin[x + 1] ?? 0) - (begin[x] ?? 0) }, (_, g) => ((begin[x] ?? 0) + g) * 8);
  return groups.flatMap((at) =>
    Array.from({ length: GROUP }, (_, k) => (weights[at + k] ?? 0) * 2 ** LOW_BITS + (weights[at + GROUP + k] ?? 0)),
  );
}

/** Pixels through one axis, by the definition: the weighted sum, rounded half up, cut to a byte. */
function resizeLine(pixelAt: (index: number) => number, axis: AxisWeights, weights: readonly number[][]): number[] {
  return Array.from(axis.first, (first, x) => {
    let sum = 0;
    weights[x]?.forEach((weight, k) => (sum += weight === 0 ? 0 : weight * pixelAt(first + k)));
    return Math.min(Math.max(Math.floor(sum / 2 ** FRACTION_BITS + 0.5), 0), 255);
  });
}

/** Both passes line by line and channel by channel. */
function resizePlainly({ width, height, data }: RgbImage, toWidth: number, toHeight: number): Uint8Array {
  const across = axisWeights(width, toWidth);
  const down = axisWeights(height, toHeight);
  const acrossWeights = Array.from(across.first, (_, x) => weightsOf(across, x));
  const downWeights = Array.from(down.first, (_, y) => weightsOf(down, y));
  const result = new Uint8Array(toWidth * toHeight * 3);
  for (let channel = 0; channel < 3; channel++) {
    const rows = Array.from({ length: height }, (_, y) =>
      resizeLine((x) => data[(y * width + x) * 3 + channel] as number, across, acrossWeights),
    );
    for (let x = 0; x < toWidth; x++) {
      const column = resizeLine((y) => rows[y]?.[x] as number, down, downWeights);
      column.forEach((value, y) => (result[(y * toWidth + x) * 3 + channel] = value));
    }
  }
  return result;
}

/** A clock on which each reading is so many ms after the one before. */
function clockGoesBy(ms: number): void {
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => (now += ms));
}

/** Turns that other work gets until `work` is done. */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let turns = 0;
  const counting = new AbortController();
  const counted = (async () => {
    for (; !counting.signal.aborted; turns++) await nextTurn();
  })();
  await work;
  counting.abort();
  await counted;
  return turns - 1;
}

describe('the vector kernel computes what the plain sums of both passes are', () => {
  test('for sizes of all kinds', async () => {
    const size = integer({ min: 1, max: 50 });
    await assert(
      asyncProperty(size, size, size, size, async (width, height, toWidth, toHeight) => {
        const image = noise(width, height);
        const { data } = await resampleBicubic(image, toWidth, toHeight);
        expect(Buffer.compare(data, resizePlainly(image, toWidth, toHeight))).toBe(0);
      }),
    );
  });

  test.each([
    ['several bands of rows', 900, 700, 20, 30],
    ['rows that are longer than what the kernel gets at a time', 90_001, 3, 5, 2],
    ['rows that are fewer than a row of the result looks at', 3, 2500, 4, 5],
    ['a result that is much larger', 5, 3, 300, 500],
    ['an axis that stays', 224, 333, 224, 112],
  ])('for %s', async (_, width, height, toWidth, toHeight) => {
    const image = noise(width, height);
    const { data } = await resampleBicubic(image, toWidth, toHeight);
    expect(Buffer.compare(data, resizePlainly(image, toWidth, toHeight))).toBe(0);
  });

  test('for black and white, where sums leave the range of a byte', async () => {
    const image = noise(61, 43);
    image.data.forEach((value, at) => (image.data[at] = value < 128 ? 0 : 255));
    const { data } = await resampleBicubic(image, 97, 20);
    expect(Buffer.compare(data, resizePlainly(image, 97, 20))).toBe(0);
  });
});

describe('weights', () => {
  test('halving takes eight pixels by the cubic kernel at odd eighths', () => {
    // a = -0.5 at distances 1/4, 3/4, 5/4 and 7/4, halved: 111, 29, -9, -3 of 256.
    const exact = [-3, -9, 29, 111, 111, 29, -9, -3].map((part) => (part / 256) * 2 ** FRACTION_BITS);
    expect(weightsOf(axisWeights(64, 32), 10)).toEqual(exact);
  });

  test('an axis that keeps its size takes each pixel whole', () => {
    const axis = axisWeights(9, 9);
    for (let x = 0; x < 9; x++) {
      const weights = weightsOf(axis, x);
      expect(weights.filter((weight) => weight !== 0)).toEqual([2 ** FRACTION_BITS]);
      expect((axis.first[x] ?? 0) + weights.indexOf(2 ** FRACTION_BITS)).toBe(x);
    }
  });
});

describe('a long resize', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  test('gives other work its turn when its slice of time is over, and not before', async () => {
    const image = noise(800, 1500);
    clockGoesBy(11);
    expect(await turnsDuring(resampleBicubic(image, 32, 32))).toBeGreaterThan(4);
    clockGoesBy(0);
    expect(await turnsDuring(resampleBicubic(image, 32, 32))).toBeLessThanOrEqual(1);
  });

  test('ends with the reason of an abort', async () => {
    clockGoesBy(11);
    const abort = new AbortController();
    const resizing = resampleBicubic(noise(800, 1500), 32, 32, abort.signal);
    abort.abort(new Error('interrupted'));
    await expect(resizing).rejects.toThrow('interrupted');
  });

  test('is not disturbed by another one that has its turn in between', async () => {
    const images = [noise(800, 1500), noise(640, 480), noise(1500, 801)];
    const alone = [];
    for (const image of images) alone.push(await resampleBicubic(image, 40, 30));
    clockGoesBy(11);
    expect(await Promise.all(images.map(async (image) => resampleBicubic(image, 40, 30)))).toEqual(alone);
  });
});

describe('the memory of a kernel', () => {
  test('is used again', () => {
    const kernel = takeKernel(1000);
    giveBack(kernel);
    expect(takeKernel(2000)).toBe(kernel);
  });

  test('is given back after an image that needed very much', () => {
    const large = takeKernel(2 ** 25);
    expect(large.memory.buffer.byteLength).toBeGreaterThanOrEqual(2 ** 25);
    giveBack(large);
    expect(takeKernel(1000).memory.buffer.byteLength).toBeLessThan(2 ** 20);
  });
});
