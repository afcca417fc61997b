/**
 * IEEE 754 half precision and bfloat16, which JavaScript of Node 20 has no arrays for.
 * Reading is exact; writing rounds to nearest, ties to even, subnormals included.
 */

const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

/** All 65,536 half-precision values, by their bits: decoding is one look-up. */
const FLOAT16_VALUES = Float32Array.from({ length: 0x10000 }, (_, bits) => float16Value(bits));

function float16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

export function float16ToFloat32(bits: Uint16Array): Float32Array {
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = FLOAT16_VALUES[bits[i] as number] as number;
  return values;
}

export function bfloat16ToFloat32(bits: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(bits, (value) => value << 16).buffer);
}

/** The bits of the half-precision value nearest to each element. Values beyond 65,504 become infinite; callers that must not lose them check first. */
export function float32ToFloat16(values: Float32Array): Uint16Array {
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) bits[i] = nearestFloat16(values[i] as number);
  return bits;
}

function nearestFloat16(value: number): number {
  scratchFloat[0] = value;
  const float = scratchBits[0] as number;
  const sign = (float >>> 16) & 0x8000;
  const magnitude = float & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // rounds to infinity
  if (magnitude >= 0x38800000) {
    // Normal: drop 13 fraction bits. Adding half of the dropped range, less one when the kept bit is even, rounds ties to even.
    const rounded = magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1);
    return sign | (rounded >>> 13);
  }
  // Subnormal: a multiple of 2^-24. Adding 0.5 shifts the fraction so that the float unit itself rounds it, ties to even.
  scratchFloat[0] = Math.abs(value) + 0.5;
  return sign | ((scratchBits[0] as number) - 0x3f000000);
}
