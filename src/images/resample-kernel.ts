/**
 * The arithmetic of resizing as WebAssembly, because vectors do it more than ten times as fast as the same loops over typed arrays.
 *
 * A weight has 23 bits and a sign, and the vector product that adds neighbours takes 16-bit numbers. So a weight comes in two parts, each part has a
 * sum of its own, and together they are the sum that Pillow computes, exactly.
 *
 * Every processor that onnxruntime-node and sharp run on has these vectors.
 */
import { FRACTION_BITS, GROUP, LOW_BITS } from './axis-weights.ts';
import {
  assemble,
  i16x8,
  i32,
  i32x4,
  i8x16,
  KernelFunction,
  repeat,
  v128,
  type Code,
  type Local,
} from './wasm-assembler.ts';

const PAGE = 65_536;

/** Bytes of a vector. */
export const VECTOR = 16;

/** Bytes of the weights of a group: two numbers of 16 bits for each pixel. */
export const GROUP_BYTES = GROUP * 2 * 2;

/** Bytes that stand for a pixel of the result in the table of `reduceRows`. */
export const ROW_ENTRY_BYTES = 8;

export type ResampleKernel = {
  memory: { readonly buffer: ArrayBuffer };
  /**
   * Horizontal pass over `count` rows of three bytes a pixel, two at a time: an odd last one is read and written with a row behind it.
   *
   * Reads up to 16 bytes behind a row, and writes up to `VECTOR` bytes behind.
   *
   * @param table for each pixel of the result where its first pixel begins in the row, in bytes, and the number of its groups: two i32
   */
  reduceRows(
    source: number,
    sourceStride: number,
    count: number,
    table: number,
    tableEnd: number,
    weights: number,
    target: number,
    targetStride: number,
  ): void;
  /**
   * Vertical pass: one row of the result from `groups` times four rows. Writes whole vectors.
   *
   * @param length bytes of a row, at least 1
   */
  reduceColumns(source: number, stride: number, groups: number, weights: number, target: number, length: number): void;
};

// TypeScript declares this only together with the whole of a browser.
declare const WebAssembly: {
  Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  Instance: new (module: object) => { readonly exports: unknown };
};

type Memory = ResampleKernel['memory'] & { grow(pages: number): number };

let compiled: object | undefined;
/** Not in use at present. */
let idle: ResampleKernel | undefined;

/** More memory than this is given back after use, which only unusual images need. */
const KEPT_BYTES = 2 ** 23;

/** A kernel with at least `bytes` of memory, which nobody else uses until `giveBack`. */
export function takeKernel(bytes: number): ResampleKernel {
  compiled ??= new WebAssembly.Module(assemble([reduceRows(), reduceColumns()]));
  const kernel = idle ?? (new WebAssembly.Instance(compiled).exports as ResampleKernel);
  idle = undefined;
  const memory = kernel.memory as Memory;
  const missing = bytes - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
  return kernel;
}

export function giveBack(kernel: ResampleKernel): void {
  if (kernel.memory.buffer.byteLength <= KEPT_BYTES) idle = kernel;
}

/** The two sums of some numbers of the result: of the higher and of the lower parts of the weights. */
type Sums = { high: Local; low: Local };

/** Bytes of four pixels as pairs of i16: red of the first two pixels, their green, their blue, and the same of the other two. */
const FIRST_PAIR = [0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1].map((byte) => byte & 0xff);
const SECOND_PAIR = FIRST_PAIR.map((byte) => (byte === 0xff ? byte : byte + 6));

/** Bytes of two vectors in turns. */
const LOW_PAIRS = Array.from({ length: VECTOR }, (_, at) => (at >> 1) + (at & 1) * VECTOR);
const HIGH_PAIRS = LOW_PAIRS.map((byte) => byte + VECTOR / 2);

function reduceRows(): KernelFunction {
  const kernel = new KernelFunction('reduceRows');
  const source = kernel.parameter();
  const sourceStride = kernel.parameter();
  const count = kernel.parameter();
  const table = kernel.parameter();
  const tableEnd = kernel.parameter();
  const weights = kernel.parameter();
  const target = kernel.parameter();
  const targetStride = kernel.parameter();
  const entry = kernel.variable('i32');
  const weight = kernel.variable('i32');
  const groups = kernel.variable('i32');
  const at = kernel.variable('i32');
  const to = kernel.variable('i32');
  const pixels = kernel.variable('v128');
  const part = kernel.variable('v128');
  const firstPair = kernel.variable('v128');
  const secondPair = kernel.variable('v128');
  // One set of weights serves two rows.
  const first = newSums(kernel);
  const second = newSums(kernel);

  const pair = (bytes: Local): Code => i8x16.swizzle(pixels.value, bytes.value);
  const add = (sum: Local, bytes: Local, offset: number): Code[] => [
    part.set(v128.loadSplat32(weight.value, offset)),
    sum.set(i32x4.add(sum.value, i32x4.dot(pair(bytes), part.value))),
  ];
  const addRow = ({ high, low }: Sums): Code[] => [
    ...add(high, firstPair, 0),
    ...add(high, secondPair, 4),
    ...add(low, firstPair, 8),
    ...add(low, secondPair, 12),
  ];
  const addGroup = [
    pixels.set(v128.load(at.value)),
    ...addRow(first),
    pixels.set(v128.load(i32.add(at.value, sourceStride.value))),
    ...addRow(second),
    weight.advance(i32.constant(GROUP_BYTES)),
    at.advance(i32.constant(3 * GROUP)),
    groups.advance(i32.constant(-1)),
  ];
  const reducePixel = [
    at.set(i32.add(source.value, i32.load(entry.value, 0))),
    groups.set(i32.load(entry.value, 4)),
    ...[first, second].flatMap(startSums),
    repeat(addGroup, groups.value),
    pixels.set(toBytes(i16x8.narrow(rounded(first), rounded(second)))),
    // The fourth byte is overwritten by the next pixel.
    v128.storeLane32(to.value, pixels.value, 0),
    v128.storeLane32(i32.add(to.value, targetStride.value), pixels.value, 1),
    to.advance(i32.constant(3)),
    entry.advance(i32.constant(ROW_ENTRY_BYTES)),
  ];
  const reduceTwoRows = [
    entry.set(table.value),
    weight.set(weights.value),
    to.set(target.value),
    repeat(reducePixel, i32.below(entry.value, tableEnd.value)),
    source.advance(i32.add(sourceStride.value, sourceStride.value)),
    target.advance(i32.add(targetStride.value, targetStride.value)),
    count.advance(i32.constant(-2)),
  ];
  return kernel.does(
    firstPair.set(v128.constant(FIRST_PAIR)),
    secondPair.set(v128.constant(SECOND_PAIR)),
    repeat(reduceTwoRows, i32.isPositive(count.value)),
  );
}

function reduceColumns(): KernelFunction {
  const kernel = new KernelFunction('reduceColumns');
  const source = kernel.parameter();
  const stride = kernel.parameter();
  const groupCount = kernel.parameter();
  const weights = kernel.parameter();
  const target = kernel.parameter();
  const length = kernel.parameter();
  const x = kernel.variable('i32');
  const weight = kernel.variable('i32');
  const groups = kernel.variable('i32');
  const at = kernel.variable('i32');
  const upper = kernel.variable('v128');
  const lower = kernel.variable('v128');
  const pairs = kernel.variable('v128');
  const high = kernel.variable('v128');
  const low = kernel.variable('v128');
  // 16 numbers of the result at a time, four in each vector.
  const [a, b, c, d] = [newSums(kernel), newSums(kernel), newSums(kernel), newSums(kernel)] as const;

  const addPairs = (eight: Code, sum: Sums): Code[] => [
    pairs.set(eight),
    sum.high.set(i32x4.add(sum.high.value, i32x4.dot(pairs.value, high.value))),
    sum.low.set(i32x4.add(sum.low.value, i32x4.dot(pairs.value, low.value))),
  ];
  const mixed = (bytes: readonly number[]): Code => i8x16.shuffle(upper.value, lower.value, bytes);
  const nextRow = (row: Local): Code[] => [row.set(v128.load(at.value)), at.advance(stride.value)];
  const addTwoRows = (offset: number): Code[] => [
    ...nextRow(upper),
    ...nextRow(lower),
    high.set(v128.loadSplat32(weight.value, offset)),
    low.set(v128.loadSplat32(weight.value, offset + GROUP_BYTES / 2)),
    ...addPairs(i16x8.extendLow(mixed(LOW_PAIRS)), a),
    ...addPairs(i16x8.extendHigh(mixed(LOW_PAIRS)), b),
    ...addPairs(i16x8.extendLow(mixed(HIGH_PAIRS)), c),
    ...addPairs(i16x8.extendHigh(mixed(HIGH_PAIRS)), d),
  ];
  const addGroup = [
    ...addTwoRows(0),
    ...addTwoRows(4),
    weight.advance(i32.constant(GROUP_BYTES)),
    groups.advance(i32.constant(-1)),
  ];
  const reduceVector = [
    at.set(i32.add(source.value, x.value)),
    weight.set(weights.value),
    groups.set(groupCount.value),
    ...[a, b, c, d].flatMap(startSums),
    repeat(addGroup, groups.value),
    v128.store(
      i32.add(target.value, x.value),
      i8x16.narrow(i16x8.narrow(rounded(a), rounded(b)), i16x8.narrow(rounded(c), rounded(d))),
    ),
    x.advance(i32.constant(VECTOR)),
  ];
  return kernel.does(repeat(reduceVector, i32.below(x.value, length.value)));
}

function newSums(kernel: KernelFunction): Sums {
  return { high: kernel.variable('v128'), low: kernel.variable('v128') };
}

function startSums({ high, low }: Sums): Code[] {
  return [high.set(v128.zero), low.set(v128.zero)];
}

/** Both sums together, rounded to whole numbers. */
function rounded({ high, low }: Sums): Code {
  const sum = i32x4.add(i32x4.shiftLeft(high.value, LOW_BITS), low.value);
  return i32x4.shiftRight(i32x4.add(sum, i32x4.splat(2 ** (FRACTION_BITS - 1))), FRACTION_BITS);
}

function toBytes(numbers: Code): Code {
  return i8x16.narrow(numbers, numbers);
}
