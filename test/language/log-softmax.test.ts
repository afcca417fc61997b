import { expect, test } from 'vitest';
import { logSoftmax } from '../../src/language/log-softmax.ts';

test('log-probabilities are those of a softmax, also of large logits, to float32', () => {
  const logits = Float32Array.of(1000, 1001, 999, -Infinity);
  expect(logSoftmax(logits)).toBe(true);
  const sum = Math.exp(-1) + 1 + Math.exp(-2);
  const expected = [-1, 0, -2, -Infinity].map((logit) => Math.fround(logit - Math.log(sum)));
  // float32 keeps seven digits.
  expected.forEach((value, id) => expect(logits[id]).toBeCloseTo(value, 6));
});

test.each([
  ['NaN', [1, NaN, 2]],
  ['infinity', [1, Infinity]],
  ['nothing but -infinity', [-Infinity, -Infinity]],
])('%s cannot be used', (_, logits) => {
  expect(logSoftmax(Float32Array.from(logits))).toBe(false);
});
