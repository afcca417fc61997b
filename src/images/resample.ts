/**
 * Bicubic resizing that equals Pillow's bit for bit, since the models were trained on pixels that Pillow resized.
 *
 * libvips cannot stand in for it: where it enlarges, its pixels are 2 to 11 grey levels away in the mean, and reducing by
 * more than four averages boxes first (0.3 to 0.6 levels). See `src/libImaging/Resample.c` of Pillow: a horizontal, then a vertical
 * pass, each with weights of 22 fractional bits and an 8-bit result.
 *
 * Both passes go over the image in bands of a few rows of the result, so that what lies between them stays small and in the processor's cache.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { axisWeights, GROUP, type AxisWeights } from './axis-weights.ts';
import { GROUP_BYTES, giveBack, ROW_ENTRY_BYTES, takeKernel, VECTOR, type ResampleKernel } from './resample-kernel.ts';
import type { RgbImage } from './rgb-image.ts';

/** How long resizing may hold the thread, so that an image of many megapixels stops neither the progress bar nor Ctrl-C. */
const SLICE_MS = 10;

/** Bytes of the image that make one band, where a row of the result does not take more by itself. */
const BAND_BYTES = 2 ** 19;

/** Bytes of the image that the kernel gets at a time, where two rows are not more by themselves. */
const BLOCK_BYTES = 2 ** 18;

/**
 * Resizes to exactly `width` x `height`; an image that has this size already is given back as it is.
 *
 * @throws the signal's reason when aborted.
 */
export async function resampleBicubic(
  image: RgbImage,
  width: number,
  height: number,
  signal?: AbortSignal,
): Promise<RgbImage> {
  if (image.width === width && image.height === height) return image;
  const plan = planResize(image, width, height);
  const kernel = takeKernel(plan.bytes);
  try {
    const data = new Uint8Array(width * height * 3);
    let slice = performance.now();
    for (const _ of resizeInSteps(image, plan, kernel, data)) {
      if (performance.now() - slice < SLICE_MS) continue;
      await nextTurn();
      signal?.throwIfAborted();
      slice = performance.now();
    }
    return { width, height, data };
  } finally {
    giveBack(kernel);
  }
}

/** Sizes, and where everything lies in the kernel's memory. */
type Plan = {
  across: AxisWeights;
  down: AxisWeights;
  /** Bytes of a row of the image, of a narrowed row with room behind it, and of a row of the result. */
  sourceStride: number;
  stride: number;
  rowLength: number;
  height: number;
  /** Rows of the result in a band. */
  bandRows: number;
  /** Rows of the image that the kernel gets at a time. */
  blockRows: number;
  table: number;
  acrossWeights: number;
  downWeights: number;
  block: number;
  /** Narrowed rows. */
  narrowed: number;
  result: number;
  /** Of all together. */
  bytes: number;
};

function planResize(image: RgbImage, width: number, height: number): Plan {
  const across = axisWeights(image.width, width);
  const down = axisWeights(image.height, height);
  const sourceStride = 3 * image.width;
  const rowLength = 3 * width;
  const stride = padded(rowLength + 1);
  const perRow = (sourceStride * image.height) / height + rowLength;
  const bandRows = Math.min(Math.max(Math.floor(BAND_BYTES / perRow), 1), height);
  const blockRows = Math.min(Math.max(2 * Math.floor(BLOCK_BYTES / (2 * sourceStride)), 2), even(image.height));
  let bytes = 0;
  const reserve = (length: number): number => {
    const start = bytes;
    bytes += padded(length);
    return start;
  };
  return {
    across,
    down,
    sourceStride,
    stride,
    rowLength,
    height,
    bandRows,
    blockRows,
    table: reserve(width * ROW_ENTRY_BYTES),
    acrossWeights: reserve(across.weights.byteLength),
    downWeights: reserve(down.weights.byteLength),
    block: reserve(blockRows * sourceStride + VECTOR),
    narrowed: reserve(even(mostRows(down, bandRows)) * stride),
    result: reserve(bandRows * rowLength + VECTOR),
    bytes,
  };
}

/** The most narrowed rows that a band of `bandRows` rows of the result looks at. */
function mostRows(down: AxisWeights, bandRows: number): number {
  const height = down.first.length;
  let most = 0;
  for (let top = 0; top < height; top += bandRows) {
    const end = endOfBand(down, top, Math.min(top + bandRows, height));
    most = Math.max(most, end - (down.first[top] as number));
  }
  return most;
}

/** The row behind all that the rows `top` … `bottom - 1` of the result look at, with those that weigh nothing. */
function endOfBand({ first, begin }: AxisWeights, top: number, bottom: number): number {
  let end = 0;
  for (let y = top; y < bottom; y++) {
    const groups = (begin[y + 1] as number) - (begin[y] as number);
    end = Math.max(end, (first[y] as number) + groups * GROUP);
  }
  return end;
}

/** Fills `data`, `[height, width, 3]`. Pauses after each piece of work. */
function* resizeInSteps(image: RgbImage, plan: Plan, kernel: ResampleKernel, data: Uint8Array): Generator<void> {
  const { down, sourceStride, stride, rowLength, height, bandRows, blockRows } = plan;
  const memory = new Uint8Array(kernel.memory.buffer);
  writeWeights(plan, kernel);
  /** Narrowed rows that are there, from `from` on and before `until`. */
  let from = 0;
  let until = 0;
  for (let top = 0; top < height; top += bandRows) {
    const bottom = Math.min(top + bandRows, height);
    // The rows that the band before looked at too move to the beginning.
    const keptFrom = Math.min(down.first[top] as number, until);
    const start = plan.narrowed + (keptFrom - from) * stride;
    memory.copyWithin(plan.narrowed, start, plan.narrowed + (until - from) * stride);
    from = keptFrom;
    const wanted = Math.min(endOfBand(down, top, bottom), image.height);
    while (until < wanted) {
      const count = Math.min(blockRows, wanted - until);
      memory.set(image.data.subarray(until * sourceStride, (until + count) * sourceStride), plan.block);
      const target = plan.narrowed + (until - from) * stride;
      const tableEnd = plan.table + (rowLength / 3) * ROW_ENTRY_BYTES;
      const { block, table, acrossWeights } = plan;
      kernel.reduceRows(block, sourceStride, count, table, tableEnd, acrossWeights, target, stride);
      until += count;
      yield;
    }
    for (let y = top; y < bottom; y++) {
      const group = down.begin[y] as number;
      const groups = (down.begin[y + 1] as number) - group;
      const source = plan.narrowed + ((down.first[y] as number) - from) * stride;
      const weights = plan.downWeights + group * GROUP_BYTES;
      kernel.reduceColumns(source, stride, groups, weights, plan.result + (y - top) * rowLength, rowLength);
    }
    data.set(memory.subarray(plan.result, plan.result + (bottom - top) * rowLength), top * rowLength);
    yield;
  }
}

function writeWeights({ across, down, table, acrossWeights, downWeights }: Plan, { memory }: ResampleKernel): void {
  const entries = new Int32Array(memory.buffer, table, 2 * across.first.length);
  for (let x = 0; x < across.first.length; x++) {
    entries[2 * x] = 3 * (across.first[x] as number);
    entries[2 * x + 1] = (across.begin[x + 1] as number) - (across.begin[x] as number);
  }
  new Int16Array(memory.buffer, acrossWeights, across.weights.length).set(across.weights);
  new Int16Array(memory.buffer, downWeights, down.weights.length).set(down.weights);
}

function padded(bytes: number): number {
  return Math.ceil(bytes / VECTOR) * VECTOR;
}

function even(count: number): number {
  return count + (count % 2);
}
