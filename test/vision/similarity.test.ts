import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { matchProbability, similarity } from '../../src/vision/matcher.ts';

const number = fc.double({ min: -1, max: 1, noNaN: true }).map(Math.fround);

test('similarity is the greatest of the dot products of all queries with the text', () => {
  const features = fc
    .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 6 }))
    .chain(([queries, size]) =>
      fc.tuple(
        fc.array(fc.array(number, { minLength: size, maxLength: size }), { minLength: queries, maxLength: queries }),
        fc.array(number, { minLength: size, maxLength: size }),
      ),
    );
  fc.assert(
    fc.property(features, ([queries, text]) => {
      const products = queries.map((query) => query.reduce((sum, x, i) => sum + x * (text[i] ?? NaN), 0));
      expect(similarity(Float32Array.from(queries.flat()), Float32Array.from(text))).toBe(Math.max(...products));
    }),
  );
});

test('a feature that is not a number is not hidden by the greater ones', () => {
  expect(similarity(Float32Array.of(NaN, 1), Float32Array.of(1))).toBeNaN();
  expect(similarity(Float32Array.of(1, NaN), Float32Array.of(1))).toBeNaN();
});

test('the probability of a match is the softmax of the second score', () => {
  expect(matchProbability([0, 0])).toBe(0.5);
  expect(matchProbability([1, 3])).toBeCloseTo(Math.exp(3) / (Math.exp(1) + Math.exp(3)), 12);
  expect(matchProbability([-2000, 2000])).toBe(1);
  expect(matchProbability([2000, -2000])).toBe(0);
  expect(matchProbability([NaN, 1])).toBeNaN();
});
