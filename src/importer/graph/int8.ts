/**
 * Matrices as whole numbers of 8 bits with a scale for each output: W [N, K] turned to [K, N], the order of ONNX Runtime's integer product.
 *
 * Processors without 8-bit dot products (AVX2) multiply unsigned with signed bytes and add the products of two neighbouring inputs in 16 bits. A sum
 * beyond them is cut off without a word; with levels to 127 that happens, and doubles the error of an image encoder (measured with nano). 255·128
 * still fits. So it is the sum of two neighbours, 2i and 2i + 1, that is level 127 at most (and 128 after rounding). That is exact on every
 * processor, at the full speed of those that have dot products, where unsigned weights would be slow. Numbers in bench/int8-kernels.mjs.
 */
import { CheckpointError } from '../../errors.ts';
import { readPieces } from '../read/weight.ts';
import { bytesOf, type Encoding } from './encoding.ts';

const MAX_LEVEL = 127;

/** Rows that are turned at a time, so that what they write lies side by side in the cache. */
const TILE = 32;
/** Bytes handed on at a time when a whole matrix is ready. */
const PIECE = 16 * 2 ** 20;

/** Parts: `columns` int8 [K, N] and `column_scale` float [N] of a matrix [N, K]. Holds the whole matrix in 8 bits while it is encoded. */
export const int8: Encoding = {
  parts: (shape) => {
    const [N, K] = matrixShape(shape);
    return [
      { role: 'columns', type: 'int8', shape: [K, N], byteLength: K * N },
      { role: 'column_scale', type: 'float', shape: [N], byteLength: 4 * N },
    ];
  },
  async *encode(weight) {
    const [N, K] = matrixShape(weight.shape);
    const columns = new Int8Array(K * N);
    const scale = new Float32Array(N);
    let first = 0;
    for await (const values of readPieces(weight, K)) {
      const rows = values.length / K;
      const greatest = greatestOfRows(weight.name, values, K);
      for (let row = 0; row < rows; row++) scale[first + row] = (greatest[row] as number) / MAX_LEVEL;
      turnRows(values, greatest, K, columns, first, N);
      first += rows;
    }
    for (let start = 0; start < columns.length; start += PIECE)
      yield { role: 'columns', bytes: bytesOf(columns.subarray(start, start + PIECE)) };
    yield { role: 'column_scale', bytes: bytesOf(scale) };
  },
};

/** Writes the levels of some rows, from row `first` of [N, K] on, into the columns of [K, N]. */
function turnRows(
  values: Float32Array,
  greatest: Float32Array,
  K: number,
  columns: Int8Array,
  first: number,
  N: number,
): void {
  const factors = Float64Array.from(greatest, (value) => levelsPerUnit(value));
  for (let begin = 0; begin < factors.length; begin += TILE) {
    const end = Math.min(begin + TILE, factors.length);
    for (let k = 0; k < K; k++) {
      const target = k * N + first;
      for (let row = begin, source = begin * K + k; row < end; row++, source += K)
        columns[target + row] = levelOf(values[source] as number, factors[row] as number);
    }
  }
}

/** For each row the number that shall be level 127: the greatest magnitude of an element or of the sum of two neighbours. */
function greatestOfRows(name: string, values: Float32Array, K: number): Float32Array {
  const greatest = new Float32Array(values.length / K);
  for (let row = 0; row < greatest.length; row++) {
    const max = greatestOfPairs(values, row * K, (row + 1) * K);
    if (!Number.isFinite(max)) {
      throw new CheckpointError(
        name,
        'the tensor holds NaN or infinity, which int8 cannot store. Is the checkpoint damaged?',
      );
    }
    greatest[row] = max;
  }
  return greatest;
}

/** Of two numbers of unlike signs the sum is smaller than one of them, and does not matter. Math.max hands NaN on. */
function greatestOfPairs(values: Float32Array, start: number, end: number): number {
  let max = 0;
  for (let i = start; i + 1 < end; i += 2) {
    const first = values[i] as number;
    const second = values[i + 1] as number;
    max = Math.max(max, Math.abs(first), Math.abs(second), Math.abs(first + second));
  }
  return (end - start) % 2 === 0 ? max : Math.max(max, Math.abs(values[end - 1] as number));
}

/** Rounds: half a level is added to what makes every level positive, and the fraction cut off. */
function levelOf(value: number, factor: number): number {
  return ((value * factor + (MAX_LEVEL + 0.5)) | 0) - MAX_LEVEL;
}

function levelsPerUnit(greatest: number): number {
  return greatest === 0 ? 0 : MAX_LEVEL / greatest;
}

function matrixShape(shape: readonly number[]): [outputs: number, inputs: number] {
  const [outputs, inputs] = shape;
  if (outputs === undefined || inputs === undefined || shape.length !== 2)
    throw new RangeError(`a matrix has two axes, not [${shape.join(', ')}]`);
  return [outputs, inputs];
}
