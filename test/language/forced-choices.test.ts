/** Given answers, judged over a model whose logits are a function of what was written, against sums that are taken one answer at a time. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { JudgedChoices } from '../../src/language/chooser.ts';
import { ForcedChoices, rowsForChoices } from '../../src/language/forced-choices.ts';
import { logProbability } from '../../src/language/greedy.ts';

const VOCAB = 7;
const PROMPT_LENGTH = 5;

/** Logits after a history: the same numbers whenever it comes up. */
function logitsAfter(history: readonly number[]): Float32Array {
  let hash = history.reduce((sum, token) => Math.imul(sum ^ (token + 1), 0x01000193), 77);
  return Float32Array.from({ length: VOCAB }, () => {
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
    return ((hash >>> 8) / 2 ** 24) * 4 - 2;
  });
}

type Judged = JudgedChoices & { tokenIds: readonly number[]; score: number; reads: string[]; steps: number };

/** Judges as a loop over tokens would: every row keeps a history, which is cut where the chooser says so. */
function judge(continuations: readonly (readonly number[])[]): Judged {
  const choices = new ForcedChoices(PROMPT_LENGTH, { kind: 'choices', continuations });
  let rows: number[][] = Array.from({ length: choices.rows }, () => []);
  const reads: string[] = [];
  let steps = 0;
  let end = choices.advance(logitsAfter([]));
  while (end === undefined) {
    const { keptLengths, nextTokenIds } = choices;
    rows = rows.map((row, index) => {
      const kept = (keptLengths[index] ?? NaN) - PROMPT_LENGTH;
      expect(kept).toBeGreaterThanOrEqual(0);
      expect(kept).toBeLessThanOrEqual(row.length);
      return [...row.slice(0, kept), nextTokenIds[index] ?? NaN];
    });
    reads.push(...rows.map((row) => row.join()));
    steps++;
    end = choices.advance(Float32Array.from(rows.flatMap((row) => [...logitsAfter(row)])));
  }
  expect(end).toBe('stop');
  const { tokenIds, score, choices: judged } = choices.written;
  if (judged === undefined) throw new Error('given answers should be judged');
  return { ...judged, tokenIds, score, reads, steps };
}

/** One answer after the other, each token from its whole history. */
function sumOf(tokenIds: readonly number[]): number {
  return tokenIds.reduce((sum, id, index) => sum + logProbability(logitsAfter(tokenIds.slice(0, index)), id), 0);
}

const answer = fc.array(fc.integer({ min: 0, max: VOCAB - 1 }), { minLength: 1, maxLength: 6 });
const answers = fc.array(answer, { minLength: 1, maxLength: 60 });

describe('given answers', () => {
  test('have the sums that each has alone, whichever begin alike, are the beginning of others, or are the same', () => {
    fc.assert(
      fc.property(answers, (given) => {
        const { logProbabilities } = judge(given);
        expect(logProbabilities).toHaveLength(given.length);
        for (const [index, one] of given.entries()) expect(logProbabilities[index]).toBeCloseTo(sumOf(one), 8);
      }),
    );
  });

  test('have the same sums in any order', () => {
    fc.assert(
      fc.property(answers, (given) => {
        const backwards = judge(given.toReversed()).logProbabilities.toReversed();
        expect(judge(given).logProbabilities).toEqual(backwards);
      }),
    );
  });

  test('are compared by the mean over their tokens: a long one is not worse for being long', () => {
    const long = [0, 1, 2, 3, 4, 5, 6].map((first) => [first, ...likeliest([first], 5)]);
    const { chosen, logProbabilities } = judge([[1], ...long]);
    expect(chosen).toBeGreaterThan(0);
    expect(logProbabilities[chosen]).toBeLessThan(logProbabilities[0] ?? NaN);
  });

  test('that are equally likely are won by the first', () => {
    expect(judge([[2], [2], [2]]).chosen).toBe(0);
  });
});

describe('with probabilities that are known', () => {
  /** First tokens come with these probabilities, and those behind a 1 with the others. */
  const FIRST = [0.1, 0.2, 0.3, 0.4];
  const BEHIND_ONE = [0.5, 0.125, 0.25, 0.125];

  function written(continuations: readonly (readonly number[])[]) {
    const choices = new ForcedChoices(PROMPT_LENGTH, { kind: 'choices', continuations });
    let end = choices.advance(Float32Array.from(FIRST, Math.log));
    while (end === undefined) {
      const rows = choices.nextTokenIds.flatMap((id) => (id === 1 ? BEHIND_ONE : FIRST));
      end = choices.advance(Float32Array.from(rows, Math.log));
    }
    return choices.written;
  }

  test('the sums are those of the products of the probabilities', () => {
    const { choices } = written([[1, 0], [3], [1, 2], [2]]);
    [0.1, 0.4, 0.05, 0.3].forEach((probability, index) =>
      expect(choices?.logProbabilities[index]).toBeCloseTo(Math.log(probability), 6),
    );
  });

  test('the greatest mean wins, and its tokens and its sum are the answer', () => {
    // Means: ln 0.1 / 2 = -1.15, ln 0.4 = -0.92, ln 0.3 = -1.20.
    const { tokenIds, score, choices } = written([[1, 0], [3], [2]]);
    expect(choices?.chosen).toBe(1);
    expect(tokenIds).toEqual([3]);
    expect(score).toBeCloseTo(-0.916291, 5);
  });

  test('an answer of two tokens beats one of one token that is exactly as likely', () => {
    expect(written([[0], [1, 0]]).choices?.chosen).toBe(1);
  });
});

describe('steps', () => {
  test('read each beginning once, but where rows divide an answer among them', () => {
    fc.assert(
      fc.property(answers, (given) => {
        const { reads, steps } = judge(given);
        const beginnings = new Set(
          given.flatMap((one) => one.slice(1).map((_, index) => one.slice(0, index + 1).join())),
        );
        for (const beginning of beginnings) expect(reads).toContain(beginning);
        const rows = rowsForChoices(given.length);
        expect(steps).toBeLessThanOrEqual(Math.ceil(beginnings.size / rows) + 4);
      }),
    );
  });

  test('for two short answers: one', () => {
    expect(
      judge([
        [1, 0],
        [2, 0],
      ]).steps,
    ).toBe(1);
  });

  test('for 300 answers are taken in 8 rows', () => {
    const given = Array.from({ length: 300 }, (_, index) => [
      index % 7,
      Math.floor(index / 7) % 7,
      Math.floor(index / 49),
      0,
    ]);
    const { logProbabilities, reads, steps } = judge(given);
    expect(reads).toHaveLength(8 * steps);
    // 7 first tokens, 49 with a second, 300 with a third.
    expect(steps).toBeLessThanOrEqual(Math.ceil((7 + 49 + 300) / 8) + 2);
    for (const [index, one] of given.entries()) expect(logProbabilities[index]).toBeCloseTo(sumOf(one), 8);
  });
});

describe('logits that cannot be used', () => {
  const given = [
    [1, 0],
    [2, 0],
  ];

  test.each([
    ['NaN', NaN],
    ['infinity', Infinity],
  ])('%s ends the answer without a result, after the prompt and in any row', (_, value) => {
    const first = new ForcedChoices(PROMPT_LENGTH, { kind: 'choices', continuations: given });
    expect(first.advance(logitsAfter([]).fill(value, 5, 6))).toBe('not-a-number');
    for (const row of [0, 1]) {
      const choices = new ForcedChoices(PROMPT_LENGTH, { kind: 'choices', continuations: given });
      expect(choices.advance(logitsAfter([]))).toBeUndefined();
      const logits = Float32Array.from([...logitsAfter([1]), ...logitsAfter([2])]);
      logits[row * VOCAB + 6] = value;
      expect(choices.advance(logits)).toBe('not-a-number');
    }
  });

  test('a token that is impossible by them, or beyond them, ends it too: its sum would be no number', () => {
    const impossible = new ForcedChoices(PROMPT_LENGTH, { kind: 'choices', continuations: given });
    expect(impossible.advance(logitsAfter([]).fill(-Infinity, 2, 3))).toBe('not-a-number');
    const beyond = new ForcedChoices(PROMPT_LENGTH, { kind: 'choices', continuations: [[VOCAB]] });
    expect(beyond.advance(logitsAfter([]))).toBe('not-a-number');
  });
});

test('there is no answer before all tokens are judged', () => {
  const choices = new ForcedChoices(PROMPT_LENGTH, { kind: 'choices', continuations: [[1, 0]] });
  expect(() => choices.written).toThrow(RangeError);
  choices.advance(logitsAfter([]));
  expect(() => choices.written).toThrow(RangeError);
});

/** What is written greedily behind a beginning. */
function likeliest(beginning: readonly number[], count: number): number[] {
  const history = [...beginning];
  while (history.length < beginning.length + count) {
    const logits = logitsAfter(history);
    history.push(logits.indexOf(Math.max(...logits)));
  }
  return history.slice(beginning.length);
}
