import { expect, test } from 'vitest';
import { matchProbability, similarity } from '../../src/vision/matcher.ts';

test.each([
  ['the query that points nearest to the text', [1, 0, 0.6, 0.8, 0, -1], [0.8, 0.6], 0.96],
  ['the least unlike one where all point away', [-1, 0, -0.6, -0.8], [0.8, 0.6], -0.8],
  ['a single query that is the text itself', [0.8, 0.6], [0.8, 0.6], 1],
  ['features of one number', [-1, 1, -1], [1], 1],
])('similarity is the cosine of %s', (_, queries, text, expected) => {
  // float32 keeps seven digits.
  expect(similarity(Float32Array.from(queries), Float32Array.from(text))).toBeCloseTo(expected, 6);
});

test('a feature that is not a number is not hidden by the greater ones', () => {
  expect(similarity(Float32Array.of(NaN, 1), Float32Array.of(1))).toBeNaN();
  expect(similarity(Float32Array.of(1, NaN), Float32Array.of(1))).toBeNaN();
});

test('the probability of a match is the softmax of the second score', () => {
  expect(matchProbability([0, 0])).toBe(0.5);
  expect(matchProbability([1, 3])).toBeCloseTo(0.880797077978, 12);
  expect(matchProbability([-2000, 2000])).toBe(1);
  expect(matchProbability([2000, -2000])).toBe(0);
  expect(matchProbability([NaN, 1])).toBeNaN();
});
