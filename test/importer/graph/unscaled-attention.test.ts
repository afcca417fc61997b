import { describe, expect, test } from 'vitest';
import { attentionWithNewKey, unscaledAttention } from '../../../src/importer/graph/unscaled-attention.ts';
import { float32Tensor, int32Tensor } from '../../../src/runtime/session.ts';
import { bellShaped } from './stored-graph.ts';
import { runGraph } from './run-graph.ts';

/** Sums of a few products of numbers around 1. */
const ROUNDING = 1e-5;
const HEADS = 2;
const HEAD_DIM = 8;
const WIDTH = HEADS * HEAD_DIM;

type Keys = { key: number[]; value: number[]; bias: number }[];

/** Softmax of `query·key + bias` over the keys, applied to their values, in double precision. */
function attend(query: readonly number[], keys: Keys): number[] {
  const scores = keys.map(({ key, bias }) => key.reduce((sum, k, i) => sum + k * (query[i] ?? NaN), bias));
  const greatest = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - greatest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return query.map((_, d) =>
    keys.reduce((sum, { value }, i) => sum + ((weights[i] ?? NaN) / total) * (value[d] ?? NaN), 0),
  );
}

const slice = (values: Float32Array, start: number): number[] => [...values.subarray(start, start + HEAD_DIM)];

function expectClose(received: Float32Array | undefined, expected: readonly number[]): void {
  expect(received).toHaveLength(expected.length);
  expected.forEach((value, i) => expect(Math.abs((received?.[i] ?? NaN) - value)).toBeLessThan(ROUNDING));
}

describe('attention over a padded sequence', () => {
  const [B, S] = [3, 5];
  const lengths = [5, 1, 3];
  const [query, key, value] = [
    bellShaped(B * S * WIDTH, 1),
    bellShaped(B * S * WIDTH, 2),
    bellShaped(B * S * WIDTH, 3),
  ];
  const bias = bellShaped(HEADS * S * S, 4);

  /** Head h of position s in row b begins here, in [B, S, H·Dk]. */
  const at = (b: number, s: number, h: number): number => (b * S + s) * WIDTH + h * HEAD_DIM;

  test('sees the keys of its own row alone, with the bias of each head and without a scale', async () => {
    const mask = lengths.flatMap((length) => Array.from({ length: S }, (_, s) => Number(s < length)));
    const { attended } = await runGraph(
      (g) => {
        const input = (name: string) => g.input(name, 'float', ['B', 'S', WIDTH]);
        const inputs = {
          query: input('query'),
          key: input('key'),
          value: input('value'),
          keyMask: g.input('mask', 'int32', ['B', 'S']),
          bias: g.input('bias', 'float', [1, HEADS, 'S', 'S']),
        };
        return { attended: unscaledAttention(g, inputs, HEADS) };
      },
      {
        query: float32Tensor(query, [B, S, WIDTH]),
        key: float32Tensor(key, [B, S, WIDTH]),
        value: float32Tensor(value, [B, S, WIDTH]),
        mask: int32Tensor(mask, [B, S]),
        bias: float32Tensor(bias, [1, HEADS, S, S]),
      },
    );
    const expected = lengths.flatMap((length, b) =>
      Array.from({ length: S }, (_, s) =>
        [0, 1].flatMap((h) =>
          attend(
            slice(query, at(b, s, h)),
            Array.from({ length }, (__, t) => ({
              key: slice(key, at(b, t, h)),
              value: slice(value, at(b, t, h)),
              bias: bias[(h * S + s) * S + t] ?? NaN,
            })),
          ),
        ),
      ).flat(),
    );
    expectClose(attended, expected);
  });
});

describe('attention over a cache', () => {
  const [B, C] = [3, 6];
  const lengths = [2, 6, 4];
  const [pastKey, pastValue] = [bellShaped(B * WIDTH * C, 5), bellShaped(B * WIDTH * C, 6)];
  const query = bellShaped(B * WIDTH, 7);
  const pastAt = (b: number, h: number, t: number): number => ((b * HEADS + h) * C + t) * HEAD_DIM;
  const past = {
    pastKey: float32Tensor(pastKey, [B, HEADS, C, HEAD_DIM]),
    pastValue: float32Tensor(pastValue, [B, HEADS, C, HEAD_DIM]),
  };

  test('of prompts sees as many keys as each row has', async () => {
    const { attended } = await runGraph(
      (g) => ({
        attended: unscaledAttention(
          g,
          {
            query: g.input('query', 'float', ['B', 1, WIDTH]),
            key: g.input('pastKey', 'float', ['B', HEADS, 'C', HEAD_DIM]),
            value: g.input('pastValue', 'float', ['B', HEADS, 'C', HEAD_DIM]),
            keyMask: g.input('lengths', 'int32', ['B']),
          },
          HEADS,
        ),
      }),
      { query: float32Tensor(query, [B, 1, WIDTH]), lengths: int32Tensor(lengths, [B]), ...past },
    );
    const expected = lengths.flatMap((length, b) =>
      [0, 1].flatMap((h) =>
        attend(
          slice(query, b * WIDTH + h * HEAD_DIM),
          Array.from({ length }, (_, t) => ({
            key: slice(pastKey, pastAt(b, h, t)),
            value: slice(pastValue, pastAt(b, h, t)),
            bias: 0,
          })),
        ),
      ),
    );
    expectClose(attended, expected);
  });

  test('of what was written also sees the new position, which it hands out by head', async () => {
    const [key, value] = [bellShaped(B * WIDTH, 8), bellShaped(B * WIDTH, 9)];
    const learned = bellShaped(B * HEADS * (C + 1), 10);
    const isMasked = (b: number, t: number): boolean => t < C && t >= (lengths[b] ?? 0);
    const biasAt = (b: number, h: number, t: number): number => (b * HEADS + h) * (C + 1) + t;
    const bias = learned.map((number, i) =>
      isMasked(Math.floor(i / (HEADS * (C + 1))), i % (C + 1)) ? -1e30 : number,
    );
    const results = await runGraph(
      (g) => {
        const input = (name: string) => g.input(name, 'float', ['B', 1, WIDTH]);
        const {
          attended,
          key: newKey,
          value: newValue,
        } = attentionWithNewKey(g, {
          query: input('query'),
          key: input('key'),
          value: input('value'),
          pastKey: g.input('pastKey', 'float', ['B', HEADS, 'C', HEAD_DIM]),
          pastValue: g.input('pastValue', 'float', ['B', HEADS, 'C', HEAD_DIM]),
          bias: g.input('bias', 'float', ['B', HEADS, 1, 'C + 1']),
        });
        return { attended, newKey, newValue };
      },
      {
        query: float32Tensor(query, [B, 1, WIDTH]),
        key: float32Tensor(key, [B, 1, WIDTH]),
        value: float32Tensor(value, [B, 1, WIDTH]),
        bias: float32Tensor(bias, [B, HEADS, 1, C + 1]),
        ...past,
      },
    );
    const expected = lengths.flatMap((length, b) =>
      [0, 1].flatMap((h) =>
        attend(slice(query, b * WIDTH + h * HEAD_DIM), [
          ...Array.from({ length }, (_, t) => ({
            key: slice(pastKey, pastAt(b, h, t)),
            value: slice(pastValue, pastAt(b, h, t)),
            bias: bias[biasAt(b, h, t)] ?? NaN,
          })),
          {
            key: slice(key, b * WIDTH + h * HEAD_DIM),
            value: slice(value, b * WIDTH + h * HEAD_DIM),
            bias: bias[biasAt(b, h, C)] ?? NaN,
          },
        ]),
      ),
    );
    expectClose(results['attended'], expected);
    expect([results['newKey'], results['newValue']]).toEqual([key, value]);
  });
});
