/** Attention over a cache equals attention computed by its definition, however the positions are divided between cache and new ones. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { cachedAttention, cacheMasks } from '../../../src/importer/graph/cached-attention.ts';
import { float32Tensor, int64Tensor } from '../../../src/runtime/session.ts';
import { runGraph } from './run-graph.ts';

const HEAD_DIM = 4;
/** Measured: 2e-7. */
const TOLERANCE = 1e-5;

/** One row: queries [T, H·Dh], keys and values [T, Hk·Dh]. */
type Row = { queries: number[][]; keys: number[][]; values: number[][] };

const numbers = (length: number): fc.Arbitrary<number[]> =>
  fc.array(fc.double({ min: -3, max: 3, noNaN: true }).map(Math.fround), { minLength: length, maxLength: length });

const row = (length: number, heads: number, keyHeads: number): fc.Arbitrary<Row> => {
  const positions = (width: number) => fc.array(numbers(width), { minLength: length, maxLength: length });
  return fc.record({
    queries: positions(heads * HEAD_DIM),
    keys: positions(keyHeads * HEAD_DIM),
    values: positions(keyHeads * HEAD_DIM),
  });
};

/** What position `t` of a row attends to, by the definition. */
function attended({ queries, keys, values }: Row, t: number, heads: number, keyHeads: number): number[] {
  const result: number[] = [];
  for (let head = 0; head < heads; head++) {
    const of = (vector: readonly number[] | undefined, which: number): number[] =>
      (vector ?? []).slice(which * HEAD_DIM, (which + 1) * HEAD_DIM);
    const keyHead = Math.floor(head / (heads / keyHeads));
    const query = of(queries[t], head);
    const scores = keys
      .slice(0, t + 1)
      .map((key) => of(key, keyHead).reduce((sum, value, d) => sum + value * (query[d] ?? 0), 0) / Math.sqrt(HEAD_DIM));
    const greatest = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - greatest));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (let d = 0; d < HEAD_DIM; d++)
      result.push(weights.reduce((sum, weight, s) => sum + (weight / total) * (of(values[s], keyHead)[d] ?? 0), 0));
  }
  return result;
}

const cases = fc
  .record({
    keyHeads: fc.constantFrom(1, 2),
    groups: fc.constantFrom(1, 2, 3),
    pastLengths: fc.array(fc.nat(5), { minLength: 1, maxLength: 3 }),
    newPositions: fc.integer({ min: 1, max: 4 }),
    room: fc.nat(3),
  })
  .chain(({ keyHeads, groups, ...rest }) =>
    fc.record({
      heads: fc.constant(keyHeads * groups),
      keyHeads: fc.constant(keyHeads),
      rest: fc.constant(rest),
      rows: fc.tuple(...rest.pastLengths.map((past) => row(past + rest.newPositions, keyHeads * groups, keyHeads))),
    }),
  );

test('any division, any number of shared heads, rows of different lengths', async () => {
  await fc.assert(
    fc.asyncProperty(cases, async ({ heads, keyHeads, rows, rest: { pastLengths, newPositions: S, room } }) => {
      const B = rows.length;
      const C = Math.max(...pastLengths) + room;
      const shape = { numAttentionHeads: heads, numKeyValueHeads: keyHeads, headDim: HEAD_DIM };
      // What a row has not written is some number, and must not be seen.
      const cacheOf = (part: 'keys' | 'values') =>
        rows.flatMap((one, index) =>
          Array.from({ length: keyHeads }, (_, head) =>
            Array.from({ length: C }, (__, position) =>
              position < (pastLengths[index] ?? 0)
                ? (one[part][position] ?? []).slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
                : Array<number>(HEAD_DIM).fill(99),
            ).flat(),
          ).flat(),
        );
      const newOf = (part: keyof Row) => rows.flatMap((one, index) => one[part].slice(pastLengths[index]).flat());
      const cacheDims = [B, keyHeads, C, HEAD_DIM];
      const { attended: received = new Float32Array() } = await runGraph(
        (g) => {
          const query = g.input('query', 'float', ['B', 'S', heads * HEAD_DIM]);
          const key = g.input('key', 'float', ['B', 'S', keyHeads * HEAD_DIM]);
          const value = g.input('value', 'float', ['B', 'S', keyHeads * HEAD_DIM]);
          const pastKey = g.input('past_key', 'float', ['B', keyHeads, 'C', HEAD_DIM]);
          const pastValue = g.input('past_value', 'float', ['B', keyHeads, 'C', HEAD_DIM]);
          const pastLengthsInput = g.input('past_lengths', 'int64', ['B']);
          const masks = cacheMasks(g, { pastLengths: pastLengthsInput, pastKey, inputsEmbeds: query }, shape);
          return { attended: cachedAttention(g, 0, { query, key, value, pastKey, pastValue }, masks, shape) };
        },
        {
          query: float32Tensor(Float32Array.from(newOf('queries')), [B, S, heads * HEAD_DIM]),
          key: float32Tensor(Float32Array.from(newOf('keys')), [B, S, keyHeads * HEAD_DIM]),
          value: float32Tensor(Float32Array.from(newOf('values')), [B, S, keyHeads * HEAD_DIM]),
          past_key: float32Tensor(Float32Array.from(cacheOf('keys')), cacheDims),
          past_value: float32Tensor(Float32Array.from(cacheOf('values')), cacheDims),
          past_lengths: int64Tensor(pastLengths, [B]),
        },
      );
      const expected = rows.flatMap((one, index) =>
        Array.from({ length: S }, (_, s) => attended(one, (pastLengths[index] ?? 0) + s, heads, keyHeads)).flat(),
      );
      expect(received).toHaveLength(expected.length);
      expected.forEach((value, index) => expect(Math.abs(value - (received[index] ?? NaN))).toBeLessThan(TOLERANCE));
    }),
    { numRuns: 60 },
  );
});
