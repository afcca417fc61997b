/**
 * IEEE 754 half precision and bfloat16, which JavaScript of Node 20 has no arrays for.
 * Reading is exact; writing rounds to nearest, ties to even, subnormals included.
 */

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
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = (bits[i] as number) << 16;
  return new Float32Array(words.buffer);
}

/** The bits of the half-precision value nearest to each element. Values beyond 65,504 become infinite; callers that must not lose them check first. */
export function float32ToFloat16(values: Float32Array): Uint16Array {
  const words = new Int32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(words.length);
  for (let i = 0; i < words.length; i++) bits[i] = nearestFloat16(words[i] as number);
  return bits;
}

/** Half precision of a float32 that is given by its bits. */
function nearestFloat16(float: number): number {
  const sign = (float >>> 16) & 0x8000;
  const magnitude = float & 0x7fffffff;
  if (magnitude >= 0x38800000) {
    if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
    if (magnitude >= 0x477ff000) return sign | 0x7c00; // rounds to infinity
    // Normal: drop 13 fraction bits. Adding half of the dropped range, less one when the kept bit is even, rounds ties to even.
    const rounded = magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1);
    return sign | (rounded >>> 13);
  }
  if (magnitude <= 0x33000000) return sign; // at most half of the smallest subnormal
  // Subnormal: a multiple of 2^-24. The fraction with its leading 1 drops as many bits as its exponent is below, rounded in the same way.
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  const dropped = 126 - (magnitude >>> 23);
  return sign | ((fraction + (1 << (dropped - 1)) - 1 + ((fraction >>> dropped) & 1)) >>> dropped);
}
