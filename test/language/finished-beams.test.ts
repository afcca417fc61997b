import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { FinishedBeams } from '../../src/language/finished-beams.ts';

const beams = fc.array(
  fc.record({ length: fc.integer({ min: 1, max: 6 }), sum: fc.integer({ min: -30, max: -1 }), stopped: fc.boolean() }),
  { minLength: 1, maxLength: 12 },
);

test('the best has the greatest sum over the power of its length, and among equals it is the last that came', () => {
  fc.assert(
    fc.property(beams, fc.constantFrom(-1, 0, 0.5, 1, 2), fc.integer({ min: 12, max: 15 }), (added, penalty, most) => {
      const finished = new FinishedBeams(most, penalty);
      for (const { length, sum, stopped } of added) {
        const tokenIds = Array.from({ length }, () => 1);
        finished.add(tokenIds, sum, stopped);
      }
      const scores = added.map(({ length, sum }) => sum / length ** penalty);
      const last = scores.lastIndexOf(Math.max(...scores));
      expect(finished.best).toMatchObject({
        sum: added[last]?.sum,
        score: scores[last],
        stopped: added[last]?.stopped,
      });
    }),
  );
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
