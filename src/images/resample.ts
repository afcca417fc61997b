/**
 * Bicubic resizing that equals Pillow's bit for bit, since the models were trained on pixels that Pillow resized (spec 5).
 *
 * libvips cannot stand in for it: where it enlarges, its pixels are 2 to 11 grey levels away in the mean, and reducing by
 * more than four averages boxes first (0.3 to 0.6 levels). See `src/libImaging/Resample.c` of Pillow: a horizontal, then a vertical
 * pass, each with weights of 22 fractional bits and an 8-bit result.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { RgbImage } from './rgb-image.ts';

const FRACTION_BITS = 22;
const ROUNDING = 2 ** (FRACTION_BITS - 1);

/** How long a pass may hold the thread, so that a photograph of many megapixels stops neither the progress bar nor Ctrl-C. */
const SLICE_MS = 10;

/** The weights of one axis. Output `x` is the sum of `weights[k] * input[first[x] + k - begin[x]]` for `k` from `begin[x]` to `begin[x + 1]`. */
type AxisWeights = { first: Int32Array; begin: Int32Array; weights: Int32Array };

/** Resizes to exactly `width` x `height`. An axis that already has its size is left as it is. */
export async function resampleBicubic(image: RgbImage, width: number, height: number): Promise<RgbImage> {
  const narrowed = image.width === width ? image : await resampleRows(image, width);
  return narrowed.height === height ? narrowed : await resampleColumns(narrowed, height);
}

/** Horizontal pass: `[H, W, 3]` to `[H, width, 3]`. */
async function resampleRows(image: RgbImage, width: number): Promise<RgbImage> {
  const axis = axisWeights(image.width, width);
  const data = new Uint8ClampedArray(image.height * width * 3);
  let slice = performance.now();
  for (let y = 0; y < image.height; y++) {
    resampleRow(image.data, y * image.width * 3, axis, data, y * width * 3, width);
    slice = await giveWay(slice);
  }
  return { width, height: image.height, data: new Uint8Array(data.buffer) };
}

/** One row of the horizontal pass: nearly all the work of reducing a photograph is in its inner loop. */
function resampleRow(
  source: Uint8Array,
  sourceRow: number,
  { first, begin, weights }: AxisWeights,
  target: Uint8ClampedArray,
  targetRow: number,
  width: number,
): void {
  let to = targetRow;
  for (let x = 0; x < width; x++) {
    let red = ROUNDING;
    let green = ROUNDING;
    let blue = ROUNDING;
    let at = sourceRow + (first[x] as number) * 3;
    const end = begin[x + 1] as number;
    for (let k = begin[x] as number; k < end; k++) {
      const weight = weights[k] as number;
      red = (red + Math.imul(weight, source[at] as number)) | 0;
      green = (green + Math.imul(weight, source[at + 1] as number)) | 0;
      blue = (blue + Math.imul(weight, source[at + 2] as number)) | 0;
      at += 3;
    }
    target[to] = red >> FRACTION_BITS;
    target[to + 1] = green >> FRACTION_BITS;
    target[to + 2] = blue >> FRACTION_BITS;
    to += 3;
  }
}

/** Vertical pass: `[H, W, 3]` to `[height, W, 3]`. */
async function resampleColumns(image: RgbImage, height: number): Promise<RgbImage> {
  const axis = axisWeights(image.height, height);
  const rowLength = image.width * 3;
  const data = new Uint8ClampedArray(height * rowLength);
  const sums = new Int32Array(rowLength);
  let slice = performance.now();
  for (let y = 0; y < height; y++) {
    sumRows(image.data, axis, y, sums);
    const target = y * rowLength;
    for (let x = 0; x < rowLength; x++) data[target + x] = (sums[x] as number) >> FRACTION_BITS;
    slice = await giveWay(slice);
  }
  return { width: image.width, height, data: new Uint8Array(data.buffer) };
}

/** The weighted sum of the rows that make output row `y`: whole rows, because they lie together in memory, four at a time. */
function sumRows(source: Uint8Array, { first, begin, weights }: AxisWeights, y: number, sums: Int32Array): void {
  sums.fill(ROUNDING);
  const end = begin[y + 1] as number;
  let at = (first[y] as number) * sums.length;
  let k = begin[y] as number;
  for (; k + 4 <= end; k += 4) {
    addFourRows(source, at, weights, k, sums);
    at += 4 * sums.length;
  }
  for (; k < end; k++) {
    const weight = weights[k] as number;
    for (let x = 0; x < sums.length; x++) sums[x] = (sums[x] as number) + Math.imul(weight, source[at + x] as number);
    at += sums.length;
  }
}

/** Four rows per pass over `sums` take half the time of one, which loads and stores every sum for each weight. */
function addFourRows(source: Uint8Array, at: number, weights: Int32Array, k: number, sums: Int32Array): void {
  const w0 = weights[k] as number;
  const w1 = weights[k + 1] as number;
  const w2 = weights[k + 2] as number;
  const w3 = weights[k + 3] as number;
  const row1 = at + sums.length;
  const row2 = row1 + sums.length;
  const row3 = row2 + sums.length;
  for (let x = 0; x < sums.length; x++) {
    sums[x] =
      (sums[x] as number) +
      Math.imul(w0, source[at + x] as number) +
      Math.imul(w1, source[row1 + x] as number) +
      Math.imul(w2, source[row2 + x] as number) +
      Math.imul(w3, source[row3 + x] as number);
  }
}

/** The weights last used: photographs of one folder mostly have the same sizes. */
const recentWeights = new Map<string, AxisWeights>();
const RECENT_WEIGHTS = 16;

function axisWeights(inputSize: number, outputSize: number): AxisWeights {
  const key = `${inputSize}:${outputSize}`;
  const known = recentWeights.get(key);
  if (known !== undefined) return known;
  if (recentWeights.size >= RECENT_WEIGHTS) recentWeights.clear();
  const weights = computeAxisWeights(inputSize, outputSize);
  recentWeights.set(key, weights);
  return weights;
}

function computeAxisWeights(inputSize: number, outputSize: number): AxisWeights {
  const scale = inputSize / outputSize;
  // Enlarging interpolates between neighbours; reducing widens the kernel, so that every input pixel counts.
  const filterScale = Math.max(scale, 1);
  const support = 2 * filterScale;
  const first = new Int32Array(outputSize);
  const begin = new Int32Array(outputSize + 1);
  const weights: number[] = [];
  for (let x = 0; x < outputSize; x++) {
    const center = (x + 0.5) * scale;
    const from = Math.max(0, Math.trunc(center - support + 0.5));
    const to = Math.min(inputSize, Math.trunc(center + support + 0.5));
    const taps = Array.from({ length: to - from }, (_, k) => cubic((from + k - center + 0.5) / filterScale));
    const total = taps.reduce((sum, tap) => sum + tap, 0);
    for (const tap of taps) {
      const fixed = (tap / total) * 2 ** FRACTION_BITS;
      weights.push(Math.trunc(fixed + (fixed < 0 ? -0.5 : 0.5)));
    }
    first[x] = from;
    begin[x + 1] = weights.length;
  }
  return { first, begin, weights: Int32Array.from(weights) };
}

/** Keys' cubic convolution kernel with a = -0.5. */
function cubic(distance: number): number {
  const a = -0.5;
  const t = Math.abs(distance);
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return (((t - 5) * t + 8) * t - 4) * a;
  return 0;
}

/** Lets other work run where the slice begun at `slice` is over; gives the beginning of the slice that holds from now on. */
async function giveWay(slice: number): Promise<number> {
  if (performance.now() - slice < SLICE_MS) return slice;
  await nextTurn();
  return performance.now();
}
