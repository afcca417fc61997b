/** Beam search over models whose logits are a function of what was written, against a search that is written down without any cleverness. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BeamSearch, type BeamBound } from '../../src/language/beam-search.ts';
import { GenerationState, type RowLimits } from '../../src/language/generation-state.ts';
import { minNewTokens, noRepeatNgram, repetitionPenalty } from '../../src/language/logit-filters.ts';
import { logSoftmax } from '../../src/language/log-softmax.ts';
import { endsWithSequence } from '../../src/language/stop-sequences.ts';
import { holdsStopText } from '../../src/language/stop-texts.ts';
import { endOf, plainDecoder } from './stop-rules.ts';

const EOS = 0;

/** Logits after a history: the same numbers whenever it comes up, with hardly any ties. */
function logitsAfter(history: readonly number[], vocabSize: number, seed: number): Float32Array {
  let hash = history.reduce((sum, token) => Math.imul(sum ^ (token + 1), 0x01000193), seed | 1);
  return Float32Array.from({ length: vocabSize }, () => {
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
    return ((hash >>> 8) / 2 ** 24) * 4 - 2;
  });
}

type Search = { vocabSize: number; seed: number; beams: number; lengthPenalty: number; bound: BeamBound };

/** Runs a search as a loop over tokens would: every row keeps a history, which is copied where the search says so. */
function run(
  limits: RowLimits,
  { vocabSize, seed, beams, lengthPenalty, bound }: Search,
): BeamSearch & { end: string } {
  const search = new BeamSearch(3, limits, { kind: 'beams', beams, lengthPenalty, bound });
  let rows: number[][] = Array.from({ length: beams }, () => []);
  let end = search.advance(logitsAfter([], vocabSize, seed));
  while (end === undefined) {
    const before = rows.map((row) => [...row]);
    for (const { from, to, shared } of search.copies) {
      // What is said to be shared must be the same already: it is not copied.
      expect(before[to]?.slice(0, shared)).toEqual(before[from]?.slice(0, shared));
      rows[to] = [...(before[to] ?? []).slice(0, shared), ...(before[from] ?? []).slice(shared)];
    }
    const reading = new Set(search.copies.map(({ from }) => from));
    for (const { to } of search.copies) expect(reading.has(to)).toBe(false);
    rows = rows.map((row, index) => [...row, search.nextTokenIds[index] ?? -1]);
    const logits = rows.flatMap((row) => [...logitsAfter(row, vocabSize, seed)]);
    end = search.advance(Float32Array.from(logits));
  }
  return Object.assign(search, { end });
}

type Hypothesis = { ids: number[]; sum: number; score: number };

/** The rules of the reference one after the other, with whole sequences and full sorts. */
function runByTheBook(
  limits: RowLimits,
  { vocabSize, seed, beams, lengthPenalty, bound }: Search,
): Hypothesis | undefined {
  let open = Array.from({ length: beams }, (_, beam) => ({ ids: [] as number[], sum: beam === 0 ? 0 : -1e9 }));
  let finished: Hypothesis[] = [];
  const finish = (ids: number[], sum: number): void => {
    const score = sum / ids.length ** lengthPenalty;
    const worst = Math.min(...finished.map((one) => one.score));
    if (finished.length >= beams && score <= worst) return;
    finished.push({ ids, sum, score });
    if (finished.length > beams)
      finished.splice(
        finished.findIndex((one) => one.score === worst),
        1,
      );
  };
  for (let length = 1; length <= limits.maxNewTokens; length++) {
    const all = open.flatMap(({ ids, sum }) => {
      const logProbabilities = logitsAfter(ids, vocabSize, seed);
      logSoftmax(logProbabilities);
      for (const filter of limits.filters) filter(logProbabilities, ids);
      return Array.from(logProbabilities, (logProbability, id) => ({ ids: [...ids, id], sum: sum + logProbability }));
    });
    const best = all.toSorted((a, b) => b.sum - a.sum).slice(0, 2 * beams);
    const next: typeof open = [];
    for (const [rank, { ids, sum }] of best.entries()) {
      const ends = ids.at(-1) === EOS || limits.stopRules.some((rule) => endOf(rule, ids) >= 0);
      if (ends && rank < beams) finish(ids, sum);
      if (!ends) next.push({ ids, sum });
      if (next.length === beams) break;
    }
    open = next;
    const most = bound === 'candidates' ? best[0]?.sum : open[0]?.sum;
    const worst = Math.min(...finished.map((one) => one.score));
    if (finished.length >= beams && worst >= (most ?? -Infinity) / length ** lengthPenalty) break;
    if (length === limits.maxNewTokens) for (const { ids, sum } of open) finish(ids, sum);
  }
  finished = finished.toSorted((a, b) => a.score - b.score);
  return finished.at(-1);
}

const search = fc.record({
  vocabSize: fc.integer({ min: 14, max: 40 }),
  seed: fc.integer({ min: 1, max: 1e9 }),
  beams: fc.integer({ min: 2, max: 6 }),
  lengthPenalty: fc.constantFrom(-1, 0, 0.6, 1, 2),
  bound: fc.constantFrom('candidates', 'open beams'),
});

/** Several tokens read alike, so that a text comes up often. */
function spelled(ids: readonly number[]): string {
  return ids.map((id) => 'abcd'[id % 4]).join('');
}

const limits = fc
  .record({
    maxNewTokens: fc.integer({ min: 1, max: 9 }),
    least: fc.nat(4),
    penalty: fc.constantFrom(1, 1.5, 0.8),
    ngram: fc.constantFrom(0, 2),
    stops: fc.array(fc.array(fc.integer({ min: 1, max: 13 }), { minLength: 1, maxLength: 2 }), { maxLength: 2 }),
    stopText: fc.constantFrom('', 'b', 'cb', 'ada'),
  })
  .map(({ maxNewTokens, least, penalty, ngram, stops, stopText }): RowLimits => ({
    maxNewTokens,
    eosTokenIds: [EOS],
    stopRules: [
      endsWithSequence(stops),
      ...(stopText === '' ? [] : [holdsStopText([stopText], () => plainDecoder(spelled))]),
    ],
    filters: [
      repetitionPenalty(penalty),
      ...(ngram > 0 ? [noRepeatNgram(ngram)] : []),
      minNewTokens(Math.min(least, maxNewTokens), [EOS], stops),
    ],
    score: true,
  }));

const PLAIN: RowLimits = { maxNewTokens: 8, eosTokenIds: [EOS], stopRules: [], filters: [], score: true };

function banAllButTwo(logits: Float32Array): void {
  logits.fill(-Infinity, 2);
}

describe('a search', () => {
  test('finds what the rules find, for any number of beams, length penalty, filters, stop sequences and stop texts', () => {
    fc.assert(
      fc.property(limits, search, (given, how) => {
        const { written, end } = run(given, how);
        const expected = runByTheBook(given, how);
        expect(written.tokenIds).toEqual(expected?.ids);
        expect(written.score).toBeCloseTo(expected?.sum ?? NaN, 5);
        expect(written.beamScore).toBeCloseTo(expected?.score ?? NaN, 5);
        const stopped =
          written.tokenIds.at(-1) === EOS || given.stopRules.some((rule) => endOf(rule, written.tokenIds) >= 0);
        expect(end).toBe(stopped ? 'stop' : 'length');
      }),
      { numRuns: 300 },
    );
  });

  test('with one beam writes what a greedy row writes', () => {
    fc.assert(
      fc.property(limits, search, (given, how) => {
        const { written, end } = run(given, { ...how, beams: 1 });
        // Filters of a greedy row act on logits; on log-probabilities a repetition penalty means something else.
        const row = new GenerationState(3, given);
        let rowEnd: string | undefined;
        while (rowEnd === undefined) {
          const logits = logitsAfter(row.tokenIds, how.vocabSize, how.seed);
          logSoftmax(logits);
          rowEnd = row.advance(logits);
        }
        expect(written.tokenIds).toEqual(row.tokenIds);
        expect(end).toBe(rowEnd);
      }),
    );
  });

  test('judged by all candidates never finds less than one judged by the beams that go on', () => {
    fc.assert(
      fc.property(search, (how) => {
        const longer = run(PLAIN, { ...how, bound: 'candidates' }).written.beamScore ?? NaN;
        expect(longer).toBeGreaterThanOrEqual(run(PLAIN, { ...how, bound: 'open beams' }).written.beamScore ?? NaN);
      }),
    );
  });

  test('copies nothing after the prompt, which every row holds', () => {
    const beams = new BeamSearch(3, PLAIN, { kind: 'beams', beams: 3, lengthPenalty: 1 });
    expect(beams.advance(logitsAfter([], 20, 5))).toBeUndefined();
    expect(beams.copies).toEqual([]);
    expect(new Set(beams.nextTokenIds).size).toBe(3);
  });

  test('goes on with fewer beams where filters leave fewer tokens than there are beams', () => {
    const how = { vocabSize: 14, seed: 9, beams: 5, lengthPenalty: 1, bound: 'candidates' } as const;
    const { written, end } = run({ ...PLAIN, maxNewTokens: 4, filters: [banAllButTwo] }, how);
    expect(written.tokenIds.every((tokenId) => tokenId < 2)).toBe(true);
    expect(['stop', 'length']).toContain(end);
  });

  test('that is not over has no answer', () => {
    expect(() => new BeamSearch(3, PLAIN, { kind: 'beams', beams: 2, lengthPenalty: 1 }).written).toThrow(RangeError);
  });
});

describe('logits that are not numbers', () => {
  test.each([
    ['NaN', NaN],
    ['infinity', Infinity],
  ])('in any row, %s ends the search without text', (_, value) => {
    for (const row of [0, 1, 2]) {
      const beams = new BeamSearch(3, PLAIN, { kind: 'beams', beams: 3, lengthPenalty: 1 });
      beams.advance(logitsAfter([], 20, 5));
      const logits = Float32Array.from([1, 2, 3].flatMap((token) => [...logitsAfter([token], 20, 5)]));
      logits[20 * row + 7] = value;
      expect(beams.advance(logits)).toBe('not-a-number');
    }
  });

  test('after the prompt end it at once', () => {
    const beams = new BeamSearch(3, PLAIN, { kind: 'beams', beams: 3, lengthPenalty: 1 });
    expect(beams.advance(Float32Array.of(1, NaN, 2))).toBe('not-a-number');
  });
});
