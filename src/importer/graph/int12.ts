/**
 * Weights as whole numbers of -2047…2047 over 2047, times the greatest magnitude of the row (the first axis), split into a signed high byte and
 * a low nibble, since ONNX has no 12-bit type. Three quarters of fp16's size at 16 times the resolution of int8: for small packs whose answers
 * must not change. The arithmetic is float32.
 */
import { float16ToFloat32, float32ToFloat16 } from '../../tensor/float16.ts';
import { elementCount } from '../read/weight.ts';
import { bytesOf, refusal, type EncodedTensor, type Encoding } from './encoding.ts';

/** Largest whole number of int12, and the weight of its high byte. */
export const INT12_MAX = 2047;
export const INT12_HIGH = 16;

/** Parts: `high` int8 and `low` uint4 in the weight's shape, `row_max` float16 for each row. */
export const int12: Encoding = {
  parts: (shape) => {
    // A number without axes is one row.
    const rows = shape[0] ?? 1;
    const elements = elementCount(shape);
    const perRow: number[] = [rows, ...shape.slice(1).map(() => 1)];
    return [
      { role: 'high', type: 'int8', shape, byteLength: elements },
      { role: 'low', type: 'uint4', shape, byteLength: Math.ceil(elements / 2) },
      { role: 'row_max', type: 'float16', shape: perRow, byteLength: 2 * rows },
    ];
  },
  // Nibbles of two elements share a byte, so whole pairs of rows are encoded at a time.
  unit: (shape) => 2 * elementCount(shape.slice(1)),
  encode(values, tensor) {
    const rowLength = elementCount(tensor.shape.slice(1));
    const rows = values.length / rowLength;
    const greatest = new Float32Array(rows);
    for (let row = 0; row < rows; row++)
      greatest[row] = greatestMagnitude(values, row * rowLength, (row + 1) * rowLength);
    // The whole numbers are chosen for the maximum as it is stored, so that rounding it costs no accuracy.
    const rowMaxBits = float16AtLeast(tensor, greatest);
    const rowMax = float16ToFloat32(rowMaxBits);
    const high = new Int8Array(values.length);
    const low = new Uint8Array(Math.ceil(values.length / 2));
    for (let row = 0; row < rows; row++) {
      // In a row of zeros every level is 0, whatever it is divided by.
      const max = (rowMax[row] as number) || 1;
      encodeRow(values, row * rowLength, (row + 1) * rowLength, max, high, low);
    }
    return [
      { role: 'high', bytes: bytesOf(high) },
      { role: 'low', bytes: low },
      { role: 'row_max', bytes: bytesOf(rowMaxBits) },
    ];
  },
};

function greatestMagnitude(values: Float32Array, start: number, end: number): number {
  let max = 0;
  for (let i = start; i < end; i++) max = Math.max(max, Math.abs(values[i] as number));
  return max;
}

/** Encodes values[start…end-1]. A row of odd length may begin and end in the middle of a byte of `low`. */
function encodeRow(
  values: Float32Array,
  start: number,
  end: number,
  max: number,
  high: Int8Array,
  low: Uint8Array,
): void {
  let i = start;
  if (i % 2 === 1 && i < end) {
    const level = levelOf(values[i] as number, max);
    high[i] = level >> 4;
    low[i >> 1] = (low[i >> 1] as number) | ((level & (INT12_HIGH - 1)) << 4);
    i++;
  }
  for (; i + 1 < end; i += 2) {
    const first = levelOf(values[i] as number, max);
    const second = levelOf(values[i + 1] as number, max);
    high[i] = first >> 4;
    high[i + 1] = second >> 4;
    low[i >> 1] = (first & (INT12_HIGH - 1)) | ((second & (INT12_HIGH - 1)) << 4);
  }
  if (i < end) {
    const level = levelOf(values[i] as number, max);
    high[i] = level >> 4;
    low[i >> 1] = level & (INT12_HIGH - 1);
  }
}

/** What Math.round gives, which takes eight times as long. */
function levelOf(value: number, max: number): number {
  const exact = (value / max) * INT12_MAX;
  const rounded = Math.floor(exact + 0.5);
  // Just below a half the sum itself is rounded up.
  return (rounded - exact > 0.5 ? rounded - 1 : rounded) | 0;
}

/** The smallest half-precision number that is not below each (non-negative) value. */
function float16AtLeast(tensor: EncodedTensor, values: Float32Array): Uint16Array {
  const bits = float32ToFloat16(values);
  const rounded = float16ToFloat32(bits);
  for (let i = 0; i < bits.length; i++) {
    if ((rounded[i] as number) < (values[i] as number)) bits[i] = (bits[i] as number) + 1;
    if ((bits[i] as number) >= 0x7c00) {
      throw refusal(
        tensor,
        'contains NaN, infinity or a number beyond 65,504, which int12 cannot store. The checkpoint may be damaged.',
      );
    }
  }
  return bits;
}
