/**
 * Weights as whole numbers of -2047…2047 over 2047, times the greatest magnitude of the row (the first axis), split into a signed high byte and
 * a low nibble, since ONNX has no 12-bit type. Three quarters of fp16's size at 16 times the resolution of int8: for small packs whose answers
 * must not change. The arithmetic is float32.
 */
import { CheckpointError } from '../../errors.ts';
import { float16ToFloat32, float32ToFloat16 } from '../../tensor/float16.ts';
import { elementCount, readPieces, type Weight } from '../read/weight.ts';
import { bytesOf, type EncodedPiece, type Encoding } from './encoding.ts';

/** Largest whole number of int12, and the weight of its high byte. */
export const INT12_MAX = 2047;
export const INT12_HIGH = 16;

/** Parts: `high` int8 and `low` uint4 in the weight's shape, `row_max` float16 for each row. */
export const int12: Encoding = {
  parts: (shape) => {
    const rows = shape[0] ?? 1;
    const elements = elementCount(shape);
    const perRow: number[] = [rows, ...shape.slice(1).map(() => 1)];
    return [
      { role: 'high', type: 'int8', shape, byteLength: elements },
      { role: 'low', type: 'uint4', shape, byteLength: Math.ceil(elements / 2) },
      { role: 'row_max', type: 'float16', shape: perRow, byteLength: 2 * rows },
    ];
  },
  async *encode(weight: Weight) {
    const rowLength = elementCount(weight.shape.slice(1));
    // Nibbles of two elements share a byte, so whole pairs of rows are encoded at a time.
    for await (const values of readPieces(weight, 2 * rowLength)) yield* encodeRows(weight.name, values, rowLength);
  },
};

function* encodeRows(name: string, values: Float32Array, rowLength: number): Generator<EncodedPiece> {
  const rows = values.length / rowLength;
  const high = new Int8Array(values.length);
  const low = new Uint8Array(Math.ceil(values.length / 2));
  const greatest = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    let max = 0;
    for (let i = row * rowLength; i < (row + 1) * rowLength; i++) max = Math.max(max, Math.abs(values[i] as number));
    greatest[row] = max;
  }
  // The whole numbers are chosen for the maximum as it is stored, so that rounding it costs no accuracy.
  const rowMaxBits = float16AtLeast(name, greatest);
  const rowMax = float16ToFloat32(rowMaxBits);
  for (let row = 0; row < rows; row++) {
    const max = rowMax[row] as number;
    for (let i = row * rowLength; i < (row + 1) * rowLength; i++) {
      const level = max === 0 ? 0 : Math.round(((values[i] as number) / max) * INT12_MAX);
      high[i] = level >> 4;
      const nibble = level & (INT12_HIGH - 1);
      low[i >> 1] = (low[i >> 1] as number) | (i % 2 === 0 ? nibble : nibble << 4);
    }
  }
  yield { role: 'high', bytes: bytesOf(high) };
  yield { role: 'low', bytes: low };
  yield { role: 'row_max', bytes: bytesOf(rowMaxBits) };
}

/** The smallest half-precision number that is not below each (non-negative) value. */
function float16AtLeast(name: string, values: Float32Array): Uint16Array {
  const bits = float32ToFloat16(values);
  const rounded = float16ToFloat32(bits);
  for (let i = 0; i < bits.length; i++) {
    if ((rounded[i] as number) < (values[i] as number)) bits[i] = (bits[i] as number) + 1;
    if ((bits[i] as number) >= 0x7c00) {
      throw new CheckpointError(
        name,
        'the tensor holds NaN, infinity or a number beyond 65,504, which int12 cannot store. Is the checkpoint damaged?',
      );
    }
  }
  return bits;
}
