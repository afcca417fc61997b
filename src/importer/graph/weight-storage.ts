/**
 * How a weight is stored in a pack, and back: the byte layout of each precision. The matching graph nodes are in `operators.ts` (`dequantize`).
 *
 * - `fp32`: as it is.
 * - `fp16`: half precision; exact for checkpoints that are stored so themselves.
 * - `int12`: whole numbers of -2047…2047 over 2047, times the greatest magnitude of the row (the first axis), split into a signed high byte and a low nibble, since
 *   ONNX has no 12-bit type. Three quarters of fp16's size at 16 times the resolution of int8: for small packs whose answers must not change.
 *
 * Every precision computes in float32 at run time.
 */
import { CheckpointError } from '../../errors.ts';
import { float16ToFloat32, float32ToFloat16 } from '../../tensor/float16.ts';
import { elementCount, type Weight } from '../read/weights.ts';
import type { OnnxType } from './value.ts';

export type StoragePrecision = 'fp32' | 'fp16' | 'int12';

/** One initializer that a weight is stored as. */
export type StoredPart = {
  role: 'values' | 'high' | 'low' | 'row_max';
  type: OnnxType;
  shape: readonly number[];
  byteLength: number;
};

export type EncodedPiece = { role: StoredPart['role']; bytes: Uint8Array };

type Encoding = {
  parts(shape: readonly number[]): StoredPart[];
  /** Yields the bytes of each part in order; parts may take turns. */
  encode(weight: Weight): AsyncIterable<EncodedPiece>;
};

/** Largest whole number of int12, and the weight of its high byte. */
export const INT12_MAX = 2047;
export const INT12_HIGH = 16;

export const encodings: Record<StoragePrecision, Encoding> = {
  fp32: {
    parts: (shape) => [{ role: 'values', type: 'float', shape, byteLength: 4 * elementCount(shape) }],
    async *encode(weight) {
      for await (const piece of weight.pieces()) yield { role: 'values', bytes: bytesOf(piece) };
    },
  },
  fp16: {
    parts: (shape) => [{ role: 'values', type: 'float16', shape, byteLength: 2 * elementCount(shape) }],
    async *encode(weight) {
      for await (const piece of weight.pieces()) {
        const halves = float32ToFloat16(piece);
        if (halves.some((bits, i) => (bits & 0x7fff) === 0x7c00 && Number.isFinite(piece[i]))) {
          throw new CheckpointError(
            weight.name,
            'a weight is beyond 65,504, the largest number of fp16. Import with --precision fp32.',
          );
        }
        yield { role: 'values', bytes: bytesOf(halves) };
      }
    },
  },
  int12: {
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
    encode: encodeInt12,
  },
};

async function* encodeInt12(weight: Weight): AsyncGenerator<EncodedPiece> {
  const rowLength = elementCount(weight.shape.slice(1));
  // Nibbles of two elements share a byte, so whole pairs of rows are encoded at a time.
  let rest = new Float32Array(0);
  for await (const piece of weight.pieces()) {
    const values = new Float32Array(rest.length + piece.length);
    values.set(rest);
    values.set(piece, rest.length);
    const whole = values.length - (values.length % (2 * rowLength));
    yield* int12Rows(weight.name, values.subarray(0, whole), rowLength);
    rest = values.slice(whole);
  }
  yield* int12Rows(weight.name, rest, rowLength);
}

function* int12Rows(name: string, values: Float32Array, rowLength: number): Generator<EncodedPiece> {
  if (values.length === 0) return;
  const rows = values.length / rowLength;
  const high = new Int8Array(values.length);
  const low = new Uint8Array(Math.ceil(values.length / 2));
  const greatest = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    greatest[row] = values
      .subarray(row * rowLength, (row + 1) * rowLength)
      .reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  }
  // The whole numbers are chosen for the maximum as it is stored, so that rounding it costs no accuracy.
  const rowMaxBits = float16AtLeast(name, greatest);
  const rowMax = float16ToFloat32(rowMaxBits);
  for (let i = 0; i < values.length; i++) {
    const max = rowMax[Math.floor(i / rowLength)] as number;
    const level = max === 0 ? 0 : Math.round(((values[i] as number) / max) * INT12_MAX);
    high[i] = level >> 4;
    const nibble = level & (INT12_HIGH - 1);
    low[i >> 1] = (low[i >> 1] as number) | (i % 2 === 0 ? nibble : nibble << 4);
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

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
