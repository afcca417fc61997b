import { describe, expect, test } from 'vitest';
import { banTokens, minNewTokens, noRepeatNgram, repetitionPenalty } from '../../src/language/logit-filters.ts';

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
  expect(filtered(banTokens(2), [3, -1, 9, 4], [])).toEqual([3, -1, -Infinity, -Infinity]);
  expect(filtered(banTokens(0), [3, -1], [])).toEqual([-Infinity, -Infinity]);
  expect(filtered(banTokens(2), [3, -1], [])).toEqual([3, -1]);
});

test('tokens that stand there already become less likely, each once, whatever the sign of their logits', () => {
  expect(filtered(repetitionPenalty(2), [4, -4, 6, 8], [1, 0, 1])).toEqual([2, -8, 6, 8]);
  expect(filtered(repetitionPenalty(0.5), [4, -4, 6, 8], [0, 1])).toEqual([8, -2, 6, 8]);
});

test('a token that would write a run again is forbidden', () => {
  expect(filtered(noRepeatNgram(2), [1, 2, 3, 4], [0, 1, 2, 0])).toEqual([1, -Infinity, 3, 4]);
  // Zero was followed by 1 and by 3.
  expect(filtered(noRepeatNgram(2), [1, 2, 3, 4], [0, 1, 0, 3, 0])).toEqual([1, -Infinity, 3, -Infinity]);
  expect(filtered(noRepeatNgram(3), [1, 2, 3, 4], [0, 1, 2, 0])).toEqual([1, 2, 3, 4]);
  expect(filtered(noRepeatNgram(3), [1, 2, 3, 4], [0, 1, 2, 0, 1])).toEqual([1, 2, -Infinity, 4]);
  expect(filtered(noRepeatNgram(1), [1, 2, 3, 4], [3, 0])).toEqual([-Infinity, 2, 3, -Infinity]);
});
