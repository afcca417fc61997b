/**
 * Which pixels of a line make a pixel of the resized line, and with which weights: bicubic, as Pillow computes them
 * (`precompute_coeffs` and `normalize_coeffs_8bpc` in `src/libImaging/Resample.c`).
 */

/** Bits behind the point of a weight. */
export const FRACTION_BITS = 22;

/** Bits of the lower part of a weight. Both parts fit 16 bits, and together they are the whole weight. */
export const LOW_BITS = 11;

/** Pixels of a group. */
export const GROUP = 4;

/** The weights of one axis, in groups of four pixels; what a group has too many weighs nothing. */
export type AxisWeights = {
  /** The first pixel for each pixel of the result. */
  first: Int32Array;
  /** Where its groups begin: those of the pixel `x` are `begin[x]` … `begin[x + 1] - 1`. */
  begin: Int32Array;
  /** Eight numbers for each group: the higher parts of its four weights, then the lower parts. */
  weights: Int16Array;
};

/** The weights last used: photographs of one folder mostly have the same sizes. */
const recentWeights = new Map<string, AxisWeights>();
const RECENT_WEIGHTS = 16;

export function axisWeights(inputSize: number, outputSize: number): AxisWeights {
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
  const most = Math.ceil((2 * support + 1) / GROUP);
  const first = new Int32Array(outputSize);
  const begin = new Int32Array(outputSize + 1);
  const weights = new Int16Array(outputSize * most * 2 * GROUP);
  const taps = new Float64Array(most * GROUP);
  for (let x = 0; x < outputSize; x++) {
    const center = (x + 0.5) * scale;
    const from = Math.max(0, Math.trunc(center - support + 0.5));
    const to = Math.min(inputSize, Math.trunc(center + support + 0.5));
    let total = 0;
    for (let k = 0; k < to - from; k++) {
      taps[k] = cubic((from + k - center + 0.5) / filterScale);
      total += taps[k] as number;
    }
    const group = begin[x] as number;
    for (let k = 0; k < to - from; k++) {
      const fixed = ((taps[k] as number) / total) * 2 ** FRACTION_BITS;
      const weight = Math.trunc(fixed + (fixed < 0 ? -0.5 : 0.5));
      const place = (group + Math.trunc(k / GROUP)) * 2 * GROUP + (k % GROUP);
      weights[place] = weight >> LOW_BITS;
      weights[place + GROUP] = weight & (2 ** LOW_BITS - 1);
    }
    first[x] = from;
    begin[x + 1] = group + Math.ceil((to - from) / GROUP);
  }
  return { first, begin, weights: weights.slice(0, (begin[outputSize] as number) * 2 * GROUP) };
}

/** Keys' cubic convolution kernel with a = -0.5. */
function cubic(distance: number): number {
  const a = -0.5;
  const t = Math.abs(distance);
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return (((t - 5) * t + 8) * t - 4) * a;
  return 0;
}
