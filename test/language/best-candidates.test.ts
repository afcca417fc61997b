import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { BestCandidates } from '../../src/language/best-candidates.ts';

const logit = fc.oneof(fc.integer({ min: -9, max: 9 }), fc.constant(-Infinity));
const rows = fc.array(fc.tuple(fc.array(logit, { maxLength: 30 }), fc.integer({ min: -20, max: 5 })), {
  minLength: 1,
  maxLength: 5,
});

test('the best are those of a full sort, with rows added to their offsets and the first of equals before the others', () => {
  fc.assert(
    fc.property(rows, fc.integer({ min: 1, max: 12 }), (offered, capacity) => {
      const best = new BestCandidates(capacity);
      offered.forEach(([values, offset], row) => best.add(row, Float32Array.from(values), offset));
      const sorted = offered
        .flatMap(([values, offset], row) => values.map((value, tokenId) => ({ row, tokenId, score: value + offset })))
        .filter(({ score }) => score > -Infinity)
        .toSorted((a, b) => b.score - a.score || a.row - b.row || a.tokenId - b.tokenId);
      const received = Array.from({ length: best.count }, (_, rank) => best.at(rank));
      expect(received).toEqual(sorted.slice(0, capacity));
    }),
  );
});

test('there is no candidate behind the last', () => {
  const best = new BestCandidates(3);
  best.add(0, Float32Array.of(1, NaN, -Infinity), 0);
  expect(best.count).toBe(1);
  expect(() => best.at(1)).toThrow(RangeError);
});
