/**
 * A tensor as the architectures take it: a shape, and values that are read only when they are written into the pack, a piece at a time.
 *
 * Weights are put together without reading anything: joined, cut, reordered, summed. Memory stays at a few pieces, whatever the size.
 */
import { required } from '../../required.ts';
import { dtypeBytes, type Dtype } from '../../tensor/dtype.ts';
import { float16ToFloat32, float32ToFloat16 } from '../../tensor/float16.ts';

/** Largest piece of a tensor that is read at once, in elements (16 MB of float32). */
export const PIECE_ELEMENTS = 4 * 2 ** 20;

/** Bytes that follow one another in a file. */
export type FileStretch = { path: string; position: number; length: number };

export type Weight = {
  /** Unique among the weights of a model: the checkpoint's name, or one made of the names it is put together from. */
  name: string;
  shape: readonly number[];
  /** The type it is stored in; the widest one where several are joined. */
  dtype: Dtype;
  /** Kept in float32 whatever the pack's precision: a table that was computed, not trained. */
  exact?: true;
  /** The checkpoint file that holds it, for messages; undefined where it is put together from several tensors. */
  file?: string | undefined;
  /** `count` elements from element `start` on, in row-major order. They belong to whoever reads them. */
  read(start: number, count: number): Promise<Float32Array>;
  /**
   * Where these elements lie in the files, in order and as `dtype`, for whoever wants to read them elsewhere; undefined where they are not simply
   * somewhere.
   */
  stretches?(start: number, count: number): FileStretch[] | undefined;
};

/** Elements of a tensor of this shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Size of one axis of a weight, or of a value in a graph. @throws RangeError where it has fewer axes. */
export function sizeOfAxis<Size>({ name, shape }: { name: string; shape: readonly Size[] }, axis: number): Size {
  return required(shape[axis], `axis ${axis} of ${name} [${shape.join(', ')}]`);
}

/** Size of the first axis. @throws RangeError for a single number. */
export function rowsOf(weight: Weight): number {
  return sizeOfAxis(weight, 0);
}

/** A range of elements in row-major order. */
export type ElementRange = { start: number; count: number };

/**
 * A tensor of this shape in consecutive pieces of at most 16 MB.
 *
 * @param multiple each piece but the last holds a multiple of so many elements: whole rows, for example.
 */
export function* pieceRanges(shape: readonly number[], multiple = 1): Generator<ElementRange> {
  const elements = elementCount(shape);
  const size = Math.max(Math.floor(PIECE_ELEMENTS / multiple), 1) * multiple;
  for (let start = 0; start < elements; start += size) yield { start, count: Math.min(size, elements - start) };
}

/** All values of a weight at once. Only for weights that are small by nature. */
export async function readAll(weight: Weight): Promise<Float32Array> {
  return weight.read(0, elementCount(weight.shape));
}

/** A weight with these values, for what the checkpoint leaves to be understood: a norm that was never trained is ones and zeros. */
export function constantWeight(name: string, shape: readonly number[], value: number): Weight {
  return { name, shape, dtype: 'F32', read: async (_, count) => new Float32Array(count).fill(value) };
}

/** A weight with values that were computed at import. */
export function computedWeight(name: string, shape: readonly number[], values: Float32Array): Weight {
  return {
    name,
    shape,
    dtype: 'F32',
    exact: true,
    read: async (start, count) => values.slice(start, start + count),
  };
}

/** Joins weights along their first axis: three [d, d] projections become one [3d, d], three biases [d] one [3d]. */
export function concatRows(...weights: readonly [Weight, ...Weight[]]): Weight {
  const [first] = weights;
  return {
    name: weights.map((weight) => weight.name).join('+'),
    shape: [weights.reduce((rows, weight) => rows + rowsOf(weight), 0), ...first.shape.slice(1)],
    dtype: weights.map((weight) => weight.dtype).reduce(widest),
    async read(start, count) {
      const values = new Float32Array(count);
      for (const { weight, from, length, at } of overlaps(weights, start, count))
        values.set(await weight.read(from, length), at);
      return values;
    },
    stretches(start, count) {
      if (weights.some((weight) => weight.dtype !== first.dtype)) return undefined;
      return joinedStretches(
        overlaps(weights, start, count).map(({ weight, from, length }) => weight.stretches?.(from, length)),
      );
    },
  };
}

/** What a range of elements of joined weights is made of: `length` elements of each weight from its element `from` on, which lie at `at` in the range. */
function overlaps(
  weights: readonly Weight[],
  start: number,
  count: number,
): { weight: Weight; from: number; length: number; at: number }[] {
  const found = [];
  let begin = 0;
  for (const weight of weights) {
    const end = begin + elementCount(weight.shape);
    const from = Math.max(start, begin);
    const to = Math.min(start + count, end);
    if (from < to) found.push({ weight, from: from - begin, length: to - from, at: from - start });
    begin = end;
  }
  return found;
}

function joinedStretches(lists: readonly (FileStretch[] | undefined)[]): FileStretch[] | undefined {
  return lists.every((list) => list !== undefined) ? lists.flat() : undefined;
}

/** The same values under another shape. */
export function reshaped(weight: Weight, shape: readonly number[]): Weight {
  if (elementCount(shape) !== elementCount(weight.shape))
    throw new RangeError(`${weight.name}: [${weight.shape.join(', ')}] does not reshape to [${shape.join(', ')}]`);
  return { ...weight, shape };
}

/**
 * The rows (first axis) of a weight in another order: row n of the result is row `order[n]` of the weight. Runs of neighbouring rows are read
 * together.
 */
export function reorderRows(weight: Weight, order: readonly number[], label: string): Weight {
  const rowLength = elementCount(weight.shape.slice(1));
  /** The runs of the weight that make up a range of the result. */
  const runs = (start: number, count: number): ElementRange[] => {
    const found = [];
    let position = start;
    while (position < start + count) {
      const row = Math.floor(position / rowLength);
      let rows = 1;
      while (order[row + rows] === (order[row] as number) + rows) rows++;
      const within = position - row * rowLength;
      const length = Math.min(rows * rowLength - within, start + count - position);
      found.push({ start: (order[row] as number) * rowLength + within, count: length });
      position += length;
    }
    return found;
  };
  return {
    name: `${weight.name}.${label}`,
    shape: [order.length, ...weight.shape.slice(1)],
    dtype: weight.dtype,
    file: weight.file,
    async read(start, count) {
      const values = new Float32Array(count);
      let at = 0;
      for (const run of runs(start, count)) {
        values.set(await weight.read(run.start, run.count), at);
        at += run.count;
      }
      return values;
    },
    stretches: (start, count) =>
      joinedStretches(runs(start, count).map((run) => weight.stretches?.(run.start, run.count))),
  };
}

/** Rows `first` … `first + rows - 1` of a weight. */
export function sliceRows(weight: Weight, first: number, rows: number): Weight {
  const rowLength = elementCount(weight.shape.slice(1));
  return {
    name: `${weight.name}[${first}:${first + rows}]`,
    shape: [rows, ...weight.shape.slice(1)],
    dtype: weight.dtype,
    file: weight.file,
    read: async (start, count) => weight.read(first * rowLength + start, count),
    stretches: (start, count) => weight.stretches?.(first * rowLength + start, count),
  };
}

/** A low-rank adaptation as it was trained: `W + alpha/rank·(B·A)`. */
export type LoraConfig = { rank: number; alpha: number };

/**
 * `W + scale·(B·A)` in float32: a low-rank adaptation merged into its base (https://arxiv.org/abs/2106.09685).
 *
 * @param weight W [N, K] @param loraA A [r, K] @param loraB B [N, r]
 */
export function mergeLora(weight: Weight, loraA: Weight, loraB: Weight, scale: number): Weight {
  const inputs = sizeOfAxis(weight, 1);
  const rank = rowsOf(loraA);
  const elements = elementCount(weight.shape);
  let factors: Promise<[Float32Array, Float32Array]> | undefined;
  return {
    name: `${weight.name}+lora`,
    shape: weight.shape,
    dtype: 'F32',
    async read(start, count) {
      // The factors are small beside their product, and kept for the next piece; but those of all matrices together are not small.
      factors ??= Promise.all([readAll(loraA), readAll(loraB)]);
      const reading = factors;
      if (start + count === elements) factors = undefined;
      const [a, b] = await reading;
      const values = await weight.read(start, count);
      const sums = new Float64Array(Math.min(inputs, count));
      for (let row = Math.floor(start / inputs); row * inputs < start + count; row++) {
        const from = Math.max(start, row * inputs);
        const to = Math.min(start + count, (row + 1) * inputs);
        const column = from - row * inputs;
        sums.fill(0);
        addCombination(sums, b.subarray(row * rank, (row + 1) * rank), (r) =>
          a.subarray(r * inputs + column, r * inputs + column + to - from),
        );
        for (let k = 0; k < to - from; k++)
          values[from - start + k] = (values[from - start + k] as number) + Math.fround(scale * (sums[k] as number));
      }
      return values;
    },
  };
}

/** Adds the sum of rows, each times its factor. Four rows at a time: most of the time goes into fetching and storing the sums. */
function addCombination(sums: Float64Array, factors: Float32Array, rowAt: (r: number) => Float32Array): void {
  let r = 0;
  for (; r + 4 <= factors.length; r += 4) {
    const [f0 = 0, f1 = 0, f2 = 0, f3 = 0] = factors.subarray(r, r + 4); // all four are there
    const [row0, row1, row2, row3] = [rowAt(r), rowAt(r + 1), rowAt(r + 2), rowAt(r + 3)];
    for (let k = 0; k < row0.length; k++) {
      sums[k] =
        (sums[k] as number) +
        f0 * (row0[k] as number) +
        f1 * (row1[k] as number) +
        f2 * (row2[k] as number) +
        f3 * (row3[k] as number);
    }
  }
  for (; r < factors.length; r++) {
    const [factor, row] = [factors[r] as number, rowAt(r)];
    for (let k = 0; k < row.length; k++) sums[k] = (sums[k] as number) + factor * (row[k] as number);
  }
}

/** `W + scale·V` in float32, of weights of the same shape. */
export function addScaled(weight: Weight, change: Weight, scale: number): Weight {
  return {
    name: `${weight.name}+change`,
    shape: weight.shape,
    dtype: 'F32',
    async read(start, count) {
      const [values, changes] = await Promise.all([weight.read(start, count), change.read(start, count)]);
      return values.map((value, index) => value + Math.fround(scale * (changes[index] as number)));
    },
  };
}

/** A matrix [N, K] as [K, N]. Only for weights that are small by nature: each reading reads all of it. */
export function transposed(weight: Weight): Weight {
  const [rows, columns] = [rowsOf(weight), sizeOfAxis(weight, 1)];
  return {
    name: `${weight.name}.transposed`,
    shape: [columns, rows],
    dtype: weight.dtype,
    file: weight.file,
    async read(start, count) {
      const all = await readAll(weight);
      const values = new Float32Array(count);
      for (let index = 0; index < count; index++) {
        const column = Math.floor((start + index) / rows);
        values[index] = all[(start + index - column * rows) * columns + column] as number;
      }
      return values;
    },
  };
}

/**
 * `base + delta`, as Vicuna's published difference is to be applied: half-precision tensors are added in half precision, which is what
 * rounding the exact sum gives.
 */
export function addDelta(base: Weight, delta: Weight): Weight {
  const isHalf = base.dtype === 'F16' && delta.dtype === 'F16';
  return {
    name: base.name,
    shape: base.shape,
    dtype: isHalf ? 'F16' : 'F32',
    async read(start, count) {
      const [a, b] = await Promise.all([base.read(start, count), delta.read(start, count)]);
      const sum = a.map((value, index) => value + (b[index] as number));
      return isHalf ? float16ToFloat32(float32ToFloat16(sum)) : sum;
    },
  };
}

function widest(a: Dtype, b: Dtype): Dtype {
  return dtypeBytes(b) > dtypeBytes(a) ? b : a;
}
