import { expect, test } from 'vitest';
import * as fc from 'fast-check';
import { GenerationState } from '../../src/language/generation-state.ts';
import { minNewTokens } from '../../src/language/logit-filters.ts';
import { endsWithSequence } from '../../src/language/stop-sequences.ts';
import { holdsStopText } from '../../src/language/stop-texts.ts';
import { plainDecoder } from './stop-rules.ts';

const limits = { maxNewTokens: 3, eosTokenIds: [0], stopRules: [], filters: [], score: false };

/** Logits by which `tokenId` is chosen. */
function choosing(tokenId: number): Float32Array {
  return Float32Array.from({ length: 4 }, (_, id) => (id === tokenId ? 9 : 0));
}

function spelled(ids: readonly number[]): string {
  return ids.map((id) => ['', 'a', '#', '##'][id]).join('');
}

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
  const state = new GenerationState(5, { ...limits, filters: [minNewTokens(2, [0])] });
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

test('each of several stop tokens ends a row', () => {
  for (const stop of [2, 3]) {
    const state = new GenerationState(5, { ...limits, eosTokenIds: [2, 3] });
    expect([0, stop].map((id) => state.advance(choosing(id)))).toEqual([undefined, 'stop']);
    expect(state.tokenIds).toEqual([0, stop]);
  }
});

test('a row ends with "stop" at the first end of any stop sequence, which is kept, or with "length" before it', () => {
  const written = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 10 });
  const sequence = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(written, fc.array(sequence, { maxLength: 3 }), fc.integer({ min: 1, max: 10 }), (ids, stops, most) => {
      const state = new GenerationState(5, { ...limits, maxNewTokens: most, stopRules: [endsWithSequence(stops)] });
      const outcomes: (string | undefined)[] = [];
      for (const id of ids) {
        outcomes.push(state.advance(choosing(id)));
        if (outcomes.at(-1) !== undefined) break;
      }
      const endings = ids.map((_, index) =>
        stops.some(
          (stop) =>
            ids
              .slice(0, index + 1)
              .slice(-stop.length)
              .join() === stop.join(),
        ),
      );
      const stopAt = endings.indexOf(true);
      const stopped = stopAt >= 0 && stopAt < most;
      const count = stopped ? stopAt + 1 : Math.min(most, ids.length);
      expect(state.tokenIds).toEqual(ids.slice(0, count));
      expect(outcomes.slice(0, -1).every((outcome) => outcome === undefined)).toBe(true);
      expect(outcomes.at(-1)).toBe(stopped ? 'stop' : count === most ? 'length' : undefined);
    }),
  );
});

test('a stop text ends a row with the token that completes it', () => {
  const state = new GenerationState(5, {
    ...limits,
    maxNewTokens: 9,
    stopRules: [holdsStopText(['###'], () => plainDecoder(spelled))],
  });
  expect([1, 3, 1, 2, 3].map((id) => state.advance(choosing(id)))).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
    'stop',
  ]);
  expect(state.tokenIds).toEqual([1, 3, 1, 2, 3]);
});

test('a stop sequence is not completed before the least number of tokens', () => {
  const stops = [[1, 2]];
  const state = new GenerationState(5, {
    ...limits,
    maxNewTokens: 9,
    stopRules: [endsWithSequence(stops)],
    filters: [minNewTokens(3, [0], stops)],
  });
  // The second token would complete the sequence: the likeliest of the others, the first on ties but the stop token, is taken.
  expect([1, 2, 1, 2].map((id) => state.advance(choosing(id)))).toEqual([undefined, undefined, undefined, 'stop']);
  expect(state.tokenIds).toEqual([1, 1, 1, 2]);
});

test('a row without a token has none to read', () => {
  const state = new GenerationState(5, limits);
  expect(() => state.lastTokenId).toThrow(RangeError);
  state.advance(choosing(3));
  expect(state.lastTokenId).toBe(3);
});
