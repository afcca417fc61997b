import { expect, test } from 'vitest';
import { FinishedBeams } from '../../src/language/finished-beams.ts';

/** `length` tokens. */
function tokens(length: number): number[] {
  return Array.from({ length }, () => 1);
}

test.each([
  ['the sum itself with no length penalty', 0, -6, 4, -6],
  ['the mean with a penalty of 1', 1, -6, 4, -1.5],
  ['the sum over the square root of the length with 0.5', 0.5, -6, 4, -3],
  ['the sum over the square of the length with 2', 2, -6, 4, -0.375],
  ['the sum times the length with -1', -1, -6, 4, -24],
])('a score is %s', (_, penalty, sum, length, expected) => {
  const finished = new FinishedBeams(1, penalty);
  finished.add(tokens(length), sum, true);
  expect(finished.best?.score).toBe(expected);
  expect(finished.rank(sum, length)).toBe(expected);
});

test('the best has the greatest score, in whatever order they come', () => {
  const added = [-5, -1.5, -3, -2].map((sum) => ({ sum, stopped: sum !== -1.5 }));
  for (const order of [added, added.toReversed()]) {
    const finished = new FinishedBeams(4, 0);
    for (const { sum, stopped } of order) finished.add(tokens(2), sum, stopped);
    expect(finished.best).toEqual({ tokenIds: [1, 1], sum: -1.5, score: -1.5, stopped: false });
  }
});

test('among equals the best is the last that came', () => {
  const finished = new FinishedBeams(4, 1);
  finished.add([1, 1], -4, false);
  finished.add([2, 2, 2], -6, true);
  finished.add([3], -9, true);
  expect(finished.best).toEqual({ tokenIds: [2, 2, 2], sum: -6, score: -2, stopped: true });
});

test('the ranking is decided when it is full and its worst is at least as good as what can still come', () => {
  const finished = new FinishedBeams(2, 0);
  finished.add([1], -1, true);
  expect(finished.isDecided(-100)).toBe(false);
  finished.add([1], -5, true);
  expect(finished.isDecided(-5)).toBe(true);
  expect(finished.isDecided(-4.9)).toBe(false);
  // A better one pushes the worst out; one that is no better does not come in.
  finished.add([1], -3, true);
  expect(finished.isDecided(-3)).toBe(true);
  finished.add([2], -3, true);
  finished.add([3], -9, true);
  expect(finished.isDecided(-2.9)).toBe(false);
});

test('a negative length penalty favours short answers, a positive one long ones', () => {
  const lengths = [-1, 0, 1].map((penalty) => {
    const finished = new FinishedBeams(2, penalty);
    finished.add([1, 2], -2, true);
    finished.add([1, 2, 3, 4], -3, true);
    return finished.best?.tokenIds.length;
  });
  expect(lengths).toEqual([2, 2, 4]);
});
