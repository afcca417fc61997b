import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toFloat32 } from '../../src/tensor/dtype.ts';
import { bfloat16ToFloat32, float16ToFloat32, float32ToFloat16 } from '../../src/tensor/float16.ts';

const ALL_BITS = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits);
const INFINITY = 0x7c00;

/** The value of finite half-precision bits in units of 2^-24, by whole-number arithmetic alone. */
function units(bits: number): bigint {
  const exponent = (bits >> 10) & 0x1f;
  const fraction = BigInt(bits & 0x3ff);
  return exponent === 0 ? fraction : (fraction + 1024n) << BigInt(exponent - 1);
}

/** A float32 in units of 2^-149, exactly. */
function exactUnits(value: number): bigint {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0;
  const exponent = (bits >>> 23) & 0xff;
  const fraction = BigInt(bits & 0x7fffff);
  return exponent === 0 ? fraction : (fraction + 0x800000n) << BigInt(exponent - 1);
}

/** Nearest half-precision bits to a finite float32, found by searching all of them; ties go to the even one. */
function nearestBySearch(value: number): number {
  const sign = Object.is(value, -0) || value < 0 ? 0x8000 : 0;
  const target = exactUnits(Math.abs(value));
  // The first value that is not below the target. Infinity stands where 65,536 would, as IEEE 754 rounds.
  const scaled = (bits: number) => (bits === INFINITY ? 65_536n << 149n : units(bits) << 125n);
  let [low, high] = [0, INFINITY];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (scaled(middle) < target) low = middle + 1;
    else high = middle;
  }
  if (low === 0 || scaled(low) <= target) return sign | low;
  const [below, above] = [target - scaled(low - 1), scaled(low) - target];
  const lowerWins = below < above || (below === above && (low - 1) % 2 === 0);
  return sign | (lowerWins ? low - 1 : low);
}

function encode(value: number): number | undefined {
  return float32ToFloat16(Float32Array.of(value))[0];
}

describe('half precision', () => {
  test('every finite value is read exactly', () => {
    const values = float16ToFloat32(ALL_BITS);
    const wrong = [...ALL_BITS].filter((bits) => {
      if ((bits & INFINITY) === INFINITY) return false;
      const magnitude = Number(units(bits)) * 2 ** -24;
      return !Object.is(values[bits], bits < 0x8000 ? magnitude : -magnitude);
    });
    expect(wrong).toEqual([]);
  });

  test('all 65,536 values come back with the same bits; of the NaNs, that they are NaN', () => {
    const back = float32ToFloat16(float16ToFloat32(ALL_BITS));
    const wrong = [...ALL_BITS].filter((bits) => {
      const isNan = (bits & 0x7fff) > INFINITY;
      return isNan ? ((back[bits] ?? 0) & 0x7fff) <= INFINITY : back[bits] !== bits;
    });
    expect(wrong).toEqual([]);
  });

  test('any float32 goes to the nearest value, ties to even', () => {
    const anyFloat = fc.float({ noNaN: true, noDefaultInfinity: true });
    const inRange = fc.float({ noNaN: true, min: -70_000, max: 70_000 });
    const subnormal = fc.float({ noNaN: true, min: -Math.fround(2 ** -13), max: Math.fround(2 ** -13) });
    fc.assert(
      fc.property(fc.oneof(anyFloat, inRange, subnormal), (value) => {
        expect(encode(value)).toBe(nearestBySearch(value));
      }),
      { numRuns: 5000 },
    );
  });

  test('the middle between every two neighbours, and the floats beside it, are rounded right', () => {
    const values = float16ToFloat32(ALL_BITS);
    const scratch = new Float32Array(1);
    const scratchBits = new Uint32Array(scratch.buffer);
    const wrong: number[] = [];
    for (let bits = 0; bits < INFINITY; bits++) {
      const upper = bits + 1 === INFINITY ? 65_536 : (values[bits + 1] ?? 0);
      for (const step of [-1, 0, 1]) {
        // The middle of two neighbours has one bit more than they have, so it is exact in float32.
        scratch[0] = ((values[bits] ?? 0) + upper) / 2;
        scratchBits[0] = (scratchBits[0] ?? 0) + step;
        const expected = step < 0 || (step === 0 && bits % 2 === 0) ? bits : bits + 1;
        if (encode(scratch[0]) !== expected || encode(-scratch[0]) !== (expected | 0x8000)) wrong.push(bits);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('what lies beyond the range becomes infinite', () => {
    expect(encode(65_519.996)).toBe(0x7bff);
    expect(encode(65_520)).toBe(INFINITY);
    expect(encode(3.4e38)).toBe(INFINITY);
    expect(encode(-Infinity)).toBe(0x8000 | INFINITY);
  });
});

describe('bfloat16', () => {
  test('every value is the upper half of a float32', () => {
    const values = bfloat16ToFloat32(ALL_BITS);
    const floatBits = new Uint32Array(values.buffer);
    const wrong = [...ALL_BITS].filter((bits) => {
      const isNan = (bits & 0x7fff) > 0x7f80;
      return isNan ? !Number.isNaN(values[bits]) : floatBits[bits] !== bits * 0x10000;
    });
    expect(wrong).toEqual([]);
  });

  test.each([
    [0x3f80, 1],
    [0xc000, -2],
    [0x0001, 2 ** -133],
    [0x7f7f, 3.3895313892515355e38],
    [0x7f80, Infinity],
  ])('%i is %d', (bits, value) => {
    expect(bfloat16ToFloat32(Uint16Array.of(bits))).toEqual(Float32Array.of(value));
  });
});

describe('the bytes of a checkpoint', () => {
  test('are read at any position of their buffer', () => {
    const bytes = new Uint8Array([9, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]).subarray(1);
    expect(toFloat32(bytes, 'F32')).toEqual(Float32Array.of(1, -2));
    expect(toFloat32(bytes, 'BF16')).toEqual(Float32Array.of(0, 1, 0, -2));
    expect(toFloat32(bytes, 'F64')).toEqual(Float32Array.from(new Float64Array(bytes.slice().buffer)));
    expect(toFloat32(Uint8Array.of(0, 0x3c, 0xff, 0xfb), 'F16')).toEqual(Float32Array.of(1, -65_504));
  });

  test('of a whole-number type are no weights', () => {
    expect(() => toFloat32(new Uint8Array(8), 'I64')).toThrow(RangeError);
  });
});
