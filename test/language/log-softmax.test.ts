import { expect, test } from 'vitest';
import { logSoftmax } from '../../src/language/log-softmax.ts';

test('log-probabilities are those of a softmax, also of large logits, to float32', () => {
  const logits = Float32Array.of(1000, 1001, 999, -Infinity);
  expect(logSoftmax(logits)).toBe(true);
  // The logarithms of 0.2447…, 0.6652…, 0.0900… and 0; float32 keeps seven digits.
  const expected = [-1.40760596, -0.40760596, -2.40760596, -Infinity];
  expected.forEach((value, id) => expect(logits[id]).toBeCloseTo(value, 6));
});

test.each([
  ['NaN', [1, NaN, 2]],
  ['infinity', [1, Infinity]],
  ['nothing but -infinity', [-Infinity, -Infinity]],
])('%s cannot be used', (_, logits) => {
  expect(logSoftmax(Float32Array.from(logits))).toBe(false);
});
