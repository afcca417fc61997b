/**
 * Matrices as whole numbers of 8 bits with a scale for each output: W [N, K] turned to [K, N], the order of ONNX Runtime's integer product.
 *
 * Processors without 8-bit dot products (AVX2) multiply unsigned with signed bytes and add the products of two neighbouring inputs in 16 bits. A sum
 * beyond them is cut off without a word; with levels to 127 that happens, and doubles the error of an image encoder (measured with nano). 255·128
 * still fits. So it is the sum of two neighbours, 2i and 2i + 1, that is level 127 at most (and 128 after rounding). That is exact on every
 * processor, at the full speed of those that have dot products, where unsigned weights would be slow. Numbers in bench/int8-kernels.mjs.
 */
import { bytesOf, matrixShape, refusal, type EncodedPiece, type Encoding, type PieceJoiner } from './encoding.ts';

const MAX_LEVEL = 127;

/** Rows whose levels are put into one 32-bit word. */
const ROWS_OF_WORD = 4;
/** Rows and columns that are turned at a time, so that what is read and what is written both stay in the cache. */
const TILE_ROWS = 16;
const TILE_COLUMNS = 512;
/** Bytes handed on at a time when a whole matrix is ready. */
const HANDED_ON_BYTES = 16 * 2 ** 20;

/** Parts: `columns` int8 [K, N] and `column_scale` float [N] of a matrix [N, K]. Joining holds the whole matrix in 8 bits. */
export const int8: Encoding = {
  parts: (shape) => {
    const [N, K] = matrixShape(shape);
    return [
      { role: 'columns', type: 'int8', shape: [K, N], byteLength: K * N },
      { role: 'column_scale', type: 'float', shape: [N], byteLength: 4 * N },
    ];
  },
  unit: (shape) => matrixShape(shape)[1],
  encode(values, tensor) {
    const [, K] = matrixShape(tensor.shape);
    const rows = values.length / K;
    const scale = new Float32Array(rows);
    const factors = new Float64Array(rows);
    for (let row = 0; row < rows; row++) {
      const greatest = greatestOfPairs(values, row * K, (row + 1) * K);
      if (!Number.isFinite(greatest)) {
        throw refusal(tensor, 'contains NaN or infinity, which int8 cannot store. The checkpoint may be damaged.');
      }
      scale[row] = Math.fround(greatest) / MAX_LEVEL;
      factors[row] = levelsPerUnit(Math.fround(greatest));
    }
    return [
      { role: 'columns', bytes: bytesOf(turnRows(values, factors, K)) },
      { role: 'column_scale', bytes: bytesOf(scale) },
    ];
  },
  join: (shape) => new ColumnJoiner(...matrixShape(shape)),
};

/**
 * The levels of some rows, turned: [K, rows], where rows are filled up to a multiple of four.
 *
 * @param factors for each row, what turns a number into levels
 */
function turnRows(values: Float32Array, factors: Float64Array, K: number): Int32Array {
  const rows = factors.length;
  const width = Math.ceil(rows / ROWS_OF_WORD);
  const words = new Int32Array(K * width); // [K, rows / 4]
  for (let begin = 0; begin < rows; begin += TILE_ROWS) {
    const end = Math.min(begin + TILE_ROWS, rows);
    for (let left = 0; left < K; left += TILE_COLUMNS) {
      const right = Math.min(left + TILE_COLUMNS, K);
      for (let row = begin; row < end; row += ROWS_OF_WORD) {
        // Where fewer than four rows are left, the last one fills up the word.
        const [b, c, d] = [Math.min(row + 1, end - 1), Math.min(row + 2, end - 1), Math.min(row + 3, end - 1)];
        const fa = factors[row] as number;
        const fb = factors[b] as number;
        const fc = factors[c] as number;
        const fd = factors[d] as number;
        const [ofA, ofB, ofC, ofD] = [row * K, b * K, c * K, d * K];
        for (let k = left, target = left * width + row / ROWS_OF_WORD; k < right; k++, target += width) {
          words[target] =
            (levelOf(values[ofA + k] as number, fa) & 0xff) |
            ((levelOf(values[ofB + k] as number, fb) & 0xff) << 8) |
            ((levelOf(values[ofC + k] as number, fc) & 0xff) << 16) |
            (levelOf(values[ofD + k] as number, fd) << 24);
        }
      }
    }
  }
  return words;
}

/** Puts the turned rows of all pieces beside each other; the parts are ready when the last piece is there. */
class ColumnJoiner implements PieceJoiner {
  readonly #rows: number;
  readonly #inputs: number;
  readonly #columns: Int8Array;
  readonly #scale: Float32Array;
  #joined = 0;

  constructor(rows: number, inputs: number) {
    this.#rows = rows;
    this.#inputs = inputs;
    this.#columns = new Int8Array(inputs * rows);
    this.#scale = new Float32Array(rows);
  }

  add([turned, scale]: readonly EncodedPiece[]): EncodedPiece[] {
    if (turned === undefined || scale === undefined) throw new RangeError('a piece of int8 has two parts');
    const rows = scale.bytes.byteLength / 4;
    bytesOf(this.#scale).set(scale.bytes, 4 * this.#joined);
    const width = Math.ceil(rows / ROWS_OF_WORD) * ROWS_OF_WORD;
    const target = bytesOf(this.#columns);
    for (let k = 0; k < this.#inputs; k++)
      target.set(turned.bytes.subarray(k * width, k * width + rows), k * this.#rows + this.#joined);
    this.#joined += rows;
    if (this.#joined < this.#rows) return [];
    const pieces: EncodedPiece[] = [];
    for (let start = 0; start < target.length; start += HANDED_ON_BYTES)
      pieces.push({ role: 'columns', bytes: target.subarray(start, start + HANDED_ON_BYTES) });
    return [...pieces, { role: 'column_scale', bytes: bytesOf(this.#scale) }];
  }
}

/**
 * The number that shall be level 127: the greatest magnitude of an element or of the sum of two neighbours. Of two numbers of unlike signs the sum is
 * smaller than one of them, and does not matter. Math.max hands NaN on.
 */
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
