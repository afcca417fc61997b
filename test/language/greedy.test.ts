import { expect, test } from 'vitest';
import { chooseGreedily, logProbability } from '../../src/language/greedy.ts';

test('the greatest logit wins, and the first one on ties', () => {
  expect(chooseGreedily(Float32Array.of(0, 3, 1, 3))).toBe(1);
  expect(chooseGreedily(Float32Array.of(-Infinity, -5, -4))).toBe(2);
});

test.each([
  ['NaN before the greatest', [NaN, 1]],
  ['NaN after the greatest', [1, NaN]],
  ['only -infinity', [-Infinity, -Infinity]],
  ['+infinity', [0, Infinity]],
])('%s gives no token', (_, logits) => {
  expect(chooseGreedily(Float32Array.from(logits))).toBe(-1);
});

test('log-probabilities are those of a softmax, also for large logits', () => {
  const logits = Float32Array.of(1000, 1001, 999);
  // The probabilities are 0.2447…, 0.6652… and 0.0900….
  expect(logProbability(logits, 1)).toBeCloseTo(-0.407605964444, 12);
  expect(logProbability(logits, 0)).toBeCloseTo(-1.407605964444, 12);
});
