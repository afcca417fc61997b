import { expect, test } from 'vitest';
import { GenerationState } from '../../src/language/generation-state.ts';
import { minNewTokens } from '../../src/language/logit-filters.ts';

const limits = { maxNewTokens: 3, eosTokenId: 0, filters: [], score: false };

test('a row goes on until the stop token, which is kept', () => {
  const state = new GenerationState(5, limits);
  expect(state.advance(Float32Array.of(0, 1, 0))).toBeUndefined();
  expect(state.advance(Float32Array.of(9, 1, 0))).toBe('stop');
  expect(state.tokenIds).toEqual([1, 0]);
});

test('a row ends with "length" when it may write no more, and with "stop" when the last token is the stop token', () => {
  const state = new GenerationState(5, limits);
  expect([1, 2, 3].map(() => state.advance(Float32Array.of(0, 1, 0)))).toEqual([undefined, undefined, 'length']);
  const other = new GenerationState(5, { ...limits, maxNewTokens: 1 });
  expect(other.advance(Float32Array.of(1, 0, 0))).toBe('stop');
});

test('the stop token is forbidden until the least number of others is written', () => {
  const state = new GenerationState(5, { ...limits, filters: [minNewTokens(2, 0)] });
  expect([1, 2, 3].map(() => state.advance(Float32Array.of(9, 1, 2)))).toEqual([undefined, undefined, 'stop']);
  expect(state.tokenIds).toEqual([2, 2, 0]);
});

test('the score adds the log-probabilities of all tokens, the stop token included', () => {
  const state = new GenerationState(5, { ...limits, score: true });
  state.advance(Float32Array.of(0, Math.log(2), 0));
  state.advance(Float32Array.of(Math.log(3), 0, 0));
  expect(state.score).toBeCloseTo(Math.log(2 / 4) + Math.log(3 / 5), 6);
});

test('logits that are not numbers end the row at once and add no token', () => {
  const state = new GenerationState(5, limits);
  expect(state.advance(Float32Array.of(NaN, 1, 2))).toBe('not-a-number');
  expect(state.tokenIds).toEqual([]);
});
