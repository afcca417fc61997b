import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { exponential } from '../../src/tensor/exponential.ts';

test('is e to the power of x, to a relative error of 1e-12', () => {
  fc.assert(
    fc.property(fc.double({ min: -700, max: 0, noNaN: true }), (x) => {
      expect(Math.abs(exponential(x) / Math.exp(x) - 1)).toBeLessThan(1e-12);
    }),
    { numRuns: 2000 },
  );
});

test('is exact at 0, nothing far below it, and no number for what is none', () => {
  expect(exponential(0)).toBe(1);
  expect(exponential(-701)).toBe(0);
  expect(exponential(-Infinity)).toBe(0);
  expect(exponential(NaN)).toBeNaN();
});

test('never falls from one float32 to the next', () => {
  const bits = new Int32Array(1);
  const value = new Float32Array(bits.buffer);
  fc.assert(
    fc.property(fc.float({ min: -100, max: Math.fround(-1e-3), noNaN: true }), (x) => {
      value[0] = x;
      bits[0] = (bits[0] ?? 0) - 1; // a negative float32 with a smaller magnitude
      expect(exponential(value[0] ?? NaN)).toBeGreaterThanOrEqual(exponential(x));
    }),
  );
});
