import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { banTokens, minNewTokens } from '../../src/language/logit-filters.ts';

function filtered(filter: ReturnType<typeof banTokens>, logits: number[], generatedIds: number[]): number[] {
  const row = Float32Array.from(logits);
  filter(row, generatedIds);
  return [...row];
}

describe('the least number of tokens', () => {
  test('forbids every end token until it is reached', () => {
    const filter = minNewTokens(2, [0, 3]);
    expect(filtered(filter, [1, 2, 3, 4], [])).toEqual([-Infinity, 2, 3, -Infinity]);
    expect(filtered(filter, [1, 2, 3, 4], [1])).toEqual([-Infinity, 2, 3, -Infinity]);
    expect(filtered(filter, [1, 2, 3, 4], [1, 1])).toEqual([1, 2, 3, 4]);
  });

  test('forbids the last token of a stop sequence only where its others stand', () => {
    const filter = minNewTokens(5, [], [[2], [1, 0, 3]]);
    expect(filtered(filter, [1, 2, 3, 4], [])).toEqual([1, 2, -Infinity, 4]);
    expect(filtered(filter, [1, 2, 3, 4], [0, 1])).toEqual([1, 2, -Infinity, 4]);
    expect(filtered(filter, [1, 2, 3, 4], [3, 1, 0])).toEqual([1, 2, -Infinity, -Infinity]);
    expect(filtered(filter, [1, 2, 3, 4], [1, 0, 0, 1, 0])).toEqual([1, 2, 3, 4]);
  });
});

test('rows of the vocabulary without a token cannot be chosen, and the others keep their logits', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -99, max: 99 }), { maxLength: 9 }), fc.nat(12), (logits, tokenCount) => {
      const expected = logits.map((logit, id) => (id < tokenCount ? logit : -Infinity));
      expect(filtered(banTokens(tokenCount), logits, [])).toEqual(expected);
    }),
  );
});
