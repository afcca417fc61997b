/** The element types of checkpoints, as safetensors spells them, and their conversion to float32. */
import { bfloat16ToFloat32, float16ToFloat32 } from './float16.ts';

const BYTES = { F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4, I16: 2, I8: 1, U8: 1, BOOL: 1 } as const;

export type Dtype = keyof typeof BYTES;

export function isDtype(value: unknown): value is Dtype {
  return typeof value === 'string' && Object.hasOwn(BYTES, value);
}

/** Bytes of one element. */
export function dtypeBytes(dtype: Dtype): number {
  return BYTES[dtype];
}

/**
 * Converts little-endian bytes of a floating-point type to float32. F64 is rounded; all others are exact. F32 is not copied where it need not be: the
 * result may lie in the same memory.
 *
 * @throws RangeError for integer types: a weight that is not floating point is a mistake of the caller.
 */
export function toFloat32(bytes: Uint8Array, dtype: Dtype): Float32Array {
  const width = dtypeBytes(dtype);
  // A copy aligns the bytes to their element size, which typed-array views demand.
  const { buffer, byteOffset } = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  const length = bytes.byteLength / width;
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer, byteOffset, length);
    case 'F64':
      return Float32Array.from(new Float64Array(buffer, byteOffset, length));
    case 'F16':
      return float16ToFloat32(new Uint16Array(buffer, byteOffset, length));
    case 'BF16':
      return bfloat16ToFloat32(new Uint16Array(buffer, byteOffset, length));
    default:
      throw new RangeError(`${dtype} is not a floating-point type`);
  }
}
