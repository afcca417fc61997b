/**
 * Matrices as whole numbers of 4 bits with a scale for every 32 inputs of an output, as ONNX Runtime's MatMulNBits reads them (spec 11.2).
 *
 * Levels are -8…7. The number of greatest magnitude of a block is given the level -8, so that all 16 levels are used (the scale may be negative); a
 * slightly smaller scale, which cuts that number off, is tried as well. For the levels of each, the scale with the least squared error is worked out;
 * the better one is kept. Measured on the matrices of a trained model (nano): error 0.083 of the matrix's norm; 0.098 with the greatest magnitude at
 * level ±7, 0.081 with zero points, which cost another 4 bits a block.
 */
import { CheckpointError } from '../../errors.ts';
import { readPieces } from '../read/weight.ts';
import { bytesOf, type Encoding } from './encoding.ts';

/** Inputs that share a scale: 5 bits a weight. With 64 (4.5 bits) the error is a tenth greater, and not faster. */
export const INT4_BLOCK = 32;
const BLOCK_BYTES = INT4_BLOCK / 2;
/** What is stored for level 0. */
const MIDDLE = 8;
/** Where the number of greatest magnitude of a block would lie: on the lowest level, or beyond it and cut off. */
const LOWEST_LEVEL = -8;
const BEYOND_LOWEST_LEVEL = -8.75;

/** Parts: `blocks` uint8 [N, blocks, 16], element 2i in the low nibble, and `block_scale` float [N·blocks]; the last block of a row is filled with zeros. */
export const int4: Encoding = {
  parts: (shape) => {
    const [N = 1, K = 1] = shape;
    const blocks = Math.ceil(K / INT4_BLOCK);
    return [
      { role: 'blocks', type: 'uint8', shape: [N, blocks, BLOCK_BYTES], byteLength: N * blocks * BLOCK_BYTES },
      { role: 'block_scale', type: 'float', shape: [N * blocks], byteLength: 4 * N * blocks },
    ];
  },
  async *encode(weight) {
    const [, K = 1] = weight.shape;
    for await (const values of readPieces(weight, K)) {
      const { packed, scales } = encodeRows(weight.name, values, K);
      yield { role: 'blocks', bytes: packed };
      yield { role: 'block_scale', bytes: bytesOf(scales) };
    }
  },
};

function encodeRows(name: string, values: Float32Array, K: number): { packed: Uint8Array; scales: Float32Array } {
  const blocksPerRow = Math.ceil(K / INT4_BLOCK);
  const scales = new Float32Array((values.length / K) * blocksPerRow);
  const packed = new Uint8Array(scales.length * BLOCK_BYTES);
  let index = 0;
  for (let row = 0; row < values.length; row += K) {
    for (let start = row; start < row + K; start += INT4_BLOCK) {
      const end = Math.min(start + INT4_BLOCK, row + K);
      const scale = bestScale(values, start, end);
      if (!Number.isFinite(scale)) {
        throw new CheckpointError(
          name,
          'the tensor holds NaN or infinity, which int4 cannot store. Is the checkpoint damaged?',
        );
      }
      // The levels are those of the scale as it is stored.
      scales[index] = scale;
      pack(values, start, end, Math.fround(scale), packed, index * BLOCK_BYTES);
      index++;
    }
  }
  return { packed, scales };
}

/** The scale of values[start…end-1]; 0 for a block of zeros, not finite where a value is not. Both candidates are tried at once, for speed. */
function bestScale(values: Float32Array, start: number, end: number): number {
  let greatest = 0;
  let extreme = 0;
  for (let i = start; i < end; i++) {
    const value = values[i] as number;
    const magnitude = Math.abs(value);
    if (magnitude > greatest) {
      greatest = magnitude;
      extreme = value;
    }
  }
  const wide = LOWEST_LEVEL / extreme;
  const narrow = BEYOND_LOWEST_LEVEL / extreme;
  let wideProducts = 0;
  let wideSquares = 0;
  let narrowProducts = 0;
  let narrowSquares = 0;
  for (let i = start; i < end; i++) {
    const value = values[i] as number;
    const wideLevel = levelOf(value, wide);
    wideProducts += value * wideLevel;
    wideSquares += wideLevel * wideLevel;
    const narrowLevel = levelOf(value, narrow);
    narrowProducts += value * narrowLevel;
    narrowSquares += narrowLevel * narrowLevel;
  }
  // Least squares: the best scale is Σ value·level / Σ level², and the squared error falls by (Σ value·level)² / Σ level².
  const wideScale = wideProducts / wideSquares;
  const narrowScale = narrowProducts / narrowSquares;
  return wideScale * wideProducts >= narrowScale * narrowProducts ? wideScale : narrowScale;
}

function pack(
  values: Float32Array,
  start: number,
  end: number,
  scale: number,
  packed: Uint8Array,
  target: number,
): void {
  const factor = scale === 0 ? 0 : 1 / scale;
  for (let i = 0; i < INT4_BLOCK; i += 2) {
    const low = start + i < end ? levelOf(values[start + i] as number, factor) : 0;
    const high = start + i + 1 < end ? levelOf(values[start + i + 1] as number, factor) : 0;
    packed[target + (i >> 1)] = (low + MIDDLE) | ((high + MIDDLE) << 4);
  }
}

/** The nearest of the levels -8…7. */
function levelOf(value: number, factor: number): number {
  // Half a level more than the lowest level is added, so that cutting off the fraction rounds.
  const shifted = (value * factor + (MIDDLE + 0.5)) | 0;
  return (shifted < 0 ? 0 : shifted > 15 ? 15 : shifted) - MIDDLE;
}
