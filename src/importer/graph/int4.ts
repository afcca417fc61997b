/**
 * Matrices as whole numbers of 4 bits with a scale for every 32 inputs of an output, as ONNX Runtime's MatMulNBits reads them.
 *
 * Levels are -8…7. The number of greatest magnitude of a block is given the level -8, so that all 16 levels are used (the scale may be negative); a
 * slightly smaller scale, which cuts that number off, is tried as well. For the levels of each, the scale with the least squared error is worked out;
 * the better one is kept. Measured on the matrices of a trained model (nano): error 0.083 of the matrix's norm; 0.098 with the greatest magnitude at
 * level ±7, 0.081 with zero points, which cost another 4 bits a block.
 */
import { bytesOf, matrixShape, refusal, type Encoding } from './encoding.ts';

/** Inputs that share a scale: 5 bits a weight. With 64 (4.5 bits) the error is a tenth greater, and not faster. */
export const INT4_BLOCK = 32;
const BLOCK_BYTES = INT4_BLOCK / 2;
/** What is stored for level 0. */
const MIDDLE = 8;
/** Where the number of greatest magnitude of a block would lie: on the lowest level, or beyond it and cut off. */
const LOWEST_LEVEL = -8;
const BEYOND_LOWEST_LEVEL = -8.75;
/** All bits of a float32 but its sign. */
const MAGNITUDE_BITS = 0x7fffffff;

/** Parts: `blocks` uint8 [N, blocks, 16], element 2i in the low nibble, and `block_scale` float [N·blocks]; the last block of a row is filled with zeros. */
export const int4: Encoding = {
  parts: (shape) => {
    const [N, K] = matrixShape(shape);
    const blocks = Math.ceil(K / INT4_BLOCK);
    return [
      { role: 'blocks', type: 'uint8', shape: [N, blocks, BLOCK_BYTES], byteLength: N * blocks * BLOCK_BYTES },
      { role: 'block_scale', type: 'float', shape: [N * blocks], byteLength: 4 * N * blocks },
    ];
  },
  unit: (shape) => matrixShape(shape)[1],
  encode(values, tensor) {
    const [, K] = matrixShape(tensor.shape);
    const blocksPerRow = Math.ceil(K / INT4_BLOCK);
    const scales = new Float32Array((values.length / K) * blocksPerRow);
    const packed = new Uint8Array(scales.length * BLOCK_BYTES);
    const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
    let index = 0;
    for (let row = 0; row < values.length; row += K) {
      for (let start = row; start < row + K; start += INT4_BLOCK) {
        const end = Math.min(start + INT4_BLOCK, row + K);
        const scale = bestScale(values, bits, start, end);
        if (!Number.isFinite(scale))
          throw refusal(tensor, 'contains NaN or infinity, which int4 cannot store. The checkpoint may be damaged.');
        // The levels are those of the scale as it is stored.
        scales[index] = scale;
        pack(values, start, end, Math.fround(scale), packed, index * BLOCK_BYTES);
        index++;
      }
    }
    return [
      { role: 'blocks', bytes: packed },
      { role: 'block_scale', bytes: bytesOf(scales) },
    ];
  },
};

/**
 * The scale of values[start…end-1]; 0 for a block of zeros, not finite where a value is not. Both candidates are tried at once, for speed.
 *
 * @param bits the values' own bits: without the sign they are ordered as the magnitudes are, and compared without a branch
 */
function bestScale(values: Float32Array, bits: Int32Array, start: number, end: number): number {
  let greatest = 0;
  for (let i = start; i < end; i++) greatest = Math.max(greatest, (bits[i] as number) & MAGNITUDE_BITS);
  let at = start;
  while (((bits[at] as number) & MAGNITUDE_BITS) !== greatest) at++;
  const extreme = values[at] as number;
  const wide = LOWEST_LEVEL / extreme;
  const narrow = BEYOND_LOWEST_LEVEL / extreme;
  let wideProducts = 0;
  let wideSquares = 0;
  let narrowProducts = 0;
  let narrowSquares = 0;
  for (let i = start; i < end; i++) {
    const value = values[i] as number;
    const wideLevel = levelUpTo(value, wide);
    wideProducts += value * wideLevel;
    wideSquares = (wideSquares + Math.imul(wideLevel, wideLevel)) | 0;
    const narrowLevel = levelUpTo(value, narrow);
    narrowProducts += value * narrowLevel;
    narrowSquares = (narrowSquares + Math.imul(narrowLevel, narrowLevel)) | 0;
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
  let i = start;
  let byte = target;
  for (; i + 1 < end; i += 2, byte++)
    packed[byte] = nibbleOf(values[i] as number, factor) | (nibbleOf(values[i + 1] as number, factor) << 4);
  if (i < end) packed[byte++] = nibbleOf(values[i] as number, factor) | (MIDDLE << 4);
  while (byte < target + BLOCK_BYTES) packed[byte++] = MIDDLE | (MIDDLE << 4);
}

/** The nearest of the levels -8…7 as it is stored, 8 more. Half a level is added, so that cutting off the fraction rounds. */
function nibbleOf(value: number, factor: number): number {
  return Math.max(Math.min((value * factor + (MIDDLE + 0.5)) | 0, 15), 0);
}

/** The same level without 8, for factors under which no number lies a whole level below the lowest one. */
function levelUpTo(value: number, factor: number): number {
  return Math.min((value * factor + (MIDDLE + 0.5)) | 0, 15) - MIDDLE;
}
