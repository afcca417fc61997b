import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chooseGreedily } from '../../src/language/greedy.ts';
import { drawableTokens, sampleFrom } from '../../src/language/sampling.ts';
import { Random } from '../../src/tensor/random.ts';

const logits = fc
  .array(fc.oneof(fc.double({ min: -12, max: 12, noNaN: true }), fc.constant(-Infinity)), {
    minLength: 2,
    maxLength: 300,
  })
  .filter((values) => values.some(Number.isFinite))
  .map((values) => Float32Array.from(values));
const temperature = fc.double({ min: 0.2, max: 3, noNaN: true });

function probabilities(row: Float32Array, temperatureOf: number): number[] {
  const greatest = Math.max(...row);
  const weights = Array.from(row, (logit) => Math.exp((logit - greatest) / temperatureOf));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

describe('the tokens that can be drawn', () => {
  test('are with top-p the smallest set of likeliest tokens that reaches it, never none', () => {
    fc.assert(
      fc.property(logits, temperature, fc.double({ min: 0.01, max: 0.99, noNaN: true }), (row, degree, topP) => {
        const { tokenIds } = drawableTokens(row, { temperature: degree, topK: 0, topP });
        const all = probabilities(row, degree);
        const mass = (ids: readonly number[]): number => ids.reduce((sum, id) => sum + (all[id] ?? 0), 0);
        // Sums in another order differ in their last digits.
        expect(mass(tokenIds)).toBeGreaterThan(topP - 1e-9);
        expect(mass(tokenIds.slice(0, -1))).toBeLessThan(topP + 1e-9);
        const least = Math.min(...tokenIds.map((id) => row[id] as number));
        const left = Array.from(row.keys()).filter((id) => !tokenIds.includes(id));
        for (const id of left) expect(row[id]).toBeLessThanOrEqual(least);
        expect(tokenIds.length).toBeGreaterThan(0);
      }),
    );
  });

  test('are with top-k the k likeliest, of equals those with the lower ids', () => {
    const row = Float32Array.of(1, 5, 3, 5, 3, 0);
    expect(drawableTokens(row, { temperature: 1, topK: 3, topP: 1 }).tokenIds).toEqual([1, 3, 2]);
    expect(drawableTokens(row, { temperature: 1, topK: 99, topP: 1 }).tokenIds).toHaveLength(6);
  });

  test('are cut by top-k first, and by top-p of what it leaves', () => {
    const row = Float32Array.from([0.4, 0.3, 0.2, 0.1], Math.log);
    // Of the two likeliest, the first has 4/7.
    expect(drawableTokens(row, { temperature: 1, topK: 2, topP: 0.5 }).tokenIds).toEqual([0]);
    expect(drawableTokens(row, { temperature: 1, topK: 2, topP: 0.6 }).tokenIds).toEqual([0, 1]);
    expect(drawableTokens(row, { temperature: 1, topK: 0, topP: 0.5 }).tokenIds).toEqual([0, 1]);
  });

  test('are found among tens of thousands', () => {
    const row = Float32Array.from({ length: 20_000 }, (_, id) => ((id * 7919) % 20_000) / 1e6);
    const { tokenIds } = drawableTokens(row, { temperature: 1, topK: 0, topP: 0.5 });
    const sorted = Array.from(row.keys()).toSorted((a, b) => (row[b] as number) - (row[a] as number));
    expect(tokenIds).toEqual(sorted.slice(0, tokenIds.length));
    expect(Math.abs(tokenIds.length - 9_950)).toBeLessThan(50);
  });
});

describe('a drawn token', () => {
  test('is the greedy one when only one can be drawn', () => {
    fc.assert(
      fc.property(logits, temperature, fc.nat(), (row, degree, seed) => {
        const greedy = chooseGreedily(row);
        for (const options of [
          { topK: 1, topP: 1 },
          { topK: 0, topP: 1e-9 },
        ]) {
          const sampling = { kind: 'sampling', temperature: degree, seed, ...options } as const;
          expect(sampleFrom(Random.seeded([seed]), sampling)(row)).toBe(greedy);
        }
      }),
    );
  });

  test('comes up as often as its probability says, after the temperature', () => {
    const row = Float32Array.from([0.5, 0.3, 0.2, 0], Math.log);
    const draw = sampleFrom(Random.seeded([5]), { kind: 'sampling', temperature: 0.5, topK: 0, topP: 1, seed: 5 });
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 20_000; i++) {
      const tokenId = draw(row);
      counts[tokenId] = (counts[tokenId] ?? 0) + 1;
    }
    const squares = [0.25, 0.09, 0.04, 0];
    // The standard deviation of a share is 0.0035.
    squares.forEach((square, id) => expect((counts[id] ?? 0) / 20_000).toBeCloseTo(square / 0.38, 1));
    expect(counts[3]).toBe(0);
  });

  test('is the same for the same seed', () => {
    fc.assert(
      fc.property(fc.array(logits, { minLength: 1, maxLength: 5 }), fc.nat(), (rows, seed) => {
        const drawAll = (): number[] => {
          const options = { kind: 'sampling', temperature: 1, topK: 50, topP: 0.9, seed } as const;
          return rows.map(sampleFrom(Random.seeded([seed]), options));
        };
        expect(drawAll()).toEqual(drawAll());
      }),
    );
  });

  test.each([[[NaN, 1]], [[1, Infinity]], [[-Infinity, -Infinity]]])('is none of %j', (values) => {
    const options = { kind: 'sampling', temperature: 1, topK: 0, topP: 1, seed: 0 } as const;
    expect(sampleFrom(Random.seeded([0]), options)(Float32Array.from(values))).toBe(-1);
  });
});
