/** Linear layers in every precision, run by ONNX Runtime and compared with sums in double precision. */
import { afterEach, describe, expect, test } from 'vitest';
import { linearWithoutBias, relu } from '../../../src/importer/graph/operators.ts';
import type { Dim, Value } from '../../../src/importer/graph/value.ts';
import type { GraphBuilder } from '../../../src/importer/graph/builder.ts';
import type { Precision } from '../../../src/pack/model-declaration.ts';
import { bellShaped, buildGraph, trainedWeight, type BuiltGraph } from './stored-graph.ts';

const open: BuiltGraph[] = [];

afterEach(async () => {
  for (const graph of open.splice(0)) await graph.dispose();
});

/** A graph of one linear layer of the language model, W [N, K]. */
async function layer(
  precision: Precision,
  weight: ArrayLike<number>,
  K: number,
  shape: readonly Dim[] = ['M', K],
  before: (g: GraphBuilder, x: Value) => Value = (_, x) => x,
): Promise<BuiltGraph> {
  const graph = await buildGraph({ name: 'decoder', precision, shape }, (g, x) =>
    linearWithoutBias(g, before(g, x), trainedWeight('fc1.weight', [weight.length / K, K], weight)),
  );
  open.push(graph);
  return graph;
}

/** x·Wᵀ in double precision. */
function exactProduct(x: Float32Array, weight: Float32Array, K: number): Float64Array {
  const [rows, outputs] = [x.length / K, weight.length / K];
  const product = new Float64Array(rows * outputs);
  for (let row = 0; row < rows; row++) {
    for (let n = 0; n < outputs; n++) {
      for (let k = 0; k < K; k++)
        product[row * outputs + n] =
          (product[row * outputs + n] ?? 0) + (x[row * K + k] ?? 0) * (weight[n * K + k] ?? 0);
    }
  }
  return product;
}

/** Root of the mean squared difference, over the root of the mean square of the exact product. */
function relativeError(received: Float32Array, exact: Float64Array): number {
  expect(received).toHaveLength(exact.length);
  let difference = 0;
  let square = 0;
  exact.forEach((value, i) => {
    difference += ((received[i] ?? NaN) - value) ** 2;
    square += value ** 2;
  });
  return Math.sqrt(difference / square);
}

/** Rows of bell-shaped numbers, of unlike sizes, with a few inputs ten times as large: as the layers of trained models see them. */
function activations(rows: number, K: number): Float32Array {
  return bellShaped(rows * K, 7).map((value, i) => value * (i % K === 3 ? 10 : 1) * 2 ** (Math.floor(i / K) % 5));
}

// Measured with these numbers: 3e-7, 2e-4, 5e-4, 0.013 and 0.078.
test.each([
  ['fp32', 2e-6],
  ['fp16', 5e-4],
  ['int12', 1e-3],
  ['int8', 0.02],
  ['int4', 0.1],
] as const)(
  'in %s the products are within %f of the exact ones, relative to their size',
  async (precision, tolerance) => {
    const [rows, K, N] = [7, 256, 48];
    const weight = bellShaped(N * K, 1).map((value) => value * 0.02);
    const x = activations(rows, K);
    const graph = await layer(precision, weight, K);
    const error = relativeError(await graph.run(x, [rows, K]), exactProduct(x, weight, K));
    expect(error).toBeLessThan(tolerance);
  },
);

test('in int8 nothing is cut off where all weights and activations are at their greatest', async () => {
  // 16 rows and one: ONNX Runtime has a kernel of its own for a single row.
  const [K, N] = [256, 32];
  for (const sign of [1, -1]) {
    const graph = await layer('int8', new Float32Array(N * K).fill(0.5 * sign), K);
    for (const rows of [16, 1]) {
      const y = await graph.run(new Float32Array(rows * K).fill(3), [rows, K]);
      // 0.5 lies half-way between the levels 63 and 64.
      for (const value of y) expect(Math.abs(value / (1.5 * K * sign) - 1)).toBeLessThan(0.01);
    }
  }
});

test.each([[[0, 1, 1, 0]], [[1, 0, 1, 0]], [[1, 0, 0, 1]]])(
  'in int8 it is inputs 2i and 2i + 1 that the processor adds: weights %j repeated are exact',
  async (pattern) => {
    // Each weight is level 127 here. With other neighbours than 2i and 2i + 1, two of them would not fit into 16 bits.
    const [K, N] = [256, 96];
    const weight = Float32Array.from({ length: N * K }, (_, i) => pattern[i % 4] ?? 0);
    const graph = await layer('int8', weight, K);
    for (const rows of [16, 5, 1]) {
      const y = await graph.run(new Float32Array(rows * K).fill(3), [rows, K]);
      for (const value of y) expect(Math.abs(value / ((3 * K) / 2) - 1)).toBeLessThan(1e-5);
    }
  },
);

test('in int8 the sums are those of whole numbers', async () => {
  const [rows, K, N] = [9, 130, 20];
  const weight = bellShaped(N * K, 3);
  const x = bellShaped(rows * K, 4);
  const y = await (await layer('int8', weight, K)).run(x, [rows, K]);
  for (let row = 0; row < rows; row++) {
    const own = x.subarray(row * K, (row + 1) * K);
    const step = Math.max(...own.map(Math.abs)) / 127;
    for (let n = 0; n < N; n++) {
      const weights = weight.subarray(n * K, (n + 1) * K);
      const pairs = weights.map((value, k) => (k % 2 === 0 ? value + (weights[k + 1] ?? 0) : 0));
      const scale = Math.max(...weights.map(Math.abs), ...pairs.map(Math.abs)) / 127;
      const sum = own.reduce(
        (total, value, k) => total + Math.round(value / step) * Math.round((weights[k] ?? NaN) / scale),
        0,
      );
      // A number half-way between two levels may be rounded to either: a step of both, and the rounding of float32.
      expect(Math.abs((y[row * N + n] ?? NaN) / (step * scale) - sum)).toBeLessThan(0.05);
    }
  }
});

describe.each(['int8', 'int4'] as const)('in %s', (precision) => {
  const [K, N] = [160, 40];
  const weight = bellShaped(N * K, 11);
  const x = activations(16, K);

  test('a row has the same bits alone, among others, and wherever it stands', async () => {
    const graph = await layer(precision, weight, K);
    const together = await graph.run(x, [16, K]);
    for (let row = 0; row < 16; row++) {
      const own = x.subarray(row * K, (row + 1) * K);
      const expected = together.subarray(row * N, (row + 1) * N);
      expect(await graph.run(own, [1, K])).toEqual(expected);
      expect((await graph.run([...x.subarray(0, 4 * K), ...own], [5, K])).subarray(4 * N)).toEqual(expected);
    }
  });

  test('rows are the same in a batch of sequences', async () => {
    const flat = await (await layer(precision, weight, K)).run(x, [16, K]);
    const graph = await layer(precision, weight, K, ['B', 'S', K]);
    for (const dims of [
      [2, 8],
      [16, 1],
      [1, 16],
    ])
      expect(await graph.run(x, [...dims, K])).toEqual(flat);
    expect(await graph.run(x.subarray(0, K), [1, 1, K])).toEqual(flat.subarray(0, N));
  });

  test('a row of zeros gives zeros, and leaves the other rows as they are', async () => {
    const graph = await layer(precision, weight, K);
    const rows = [...x.subarray(0, K), ...new Float32Array(K)];
    const y = await graph.run(rows, [2, K]);
    expect(y.subarray(N).every((value) => Math.abs(value) === 0)).toBe(true);
    expect(y.subarray(0, N)).toEqual(await graph.run(x.subarray(0, K), [1, K]));
  });

  test('a layer whose weights are zero gives zeros', async () => {
    const y = await (await layer(precision, new Float32Array(N * K), K)).run(x, [16, K]);
    expect(y.every((value) => Math.abs(value) === 0)).toBe(true);
  });

  test('inputs that fill no whole block are summed to the end', async () => {
    // One input counts, and it is the last.
    for (const odd of [33, 41, 1]) {
      const one = Float32Array.from({ length: 3 * odd }, (_, i) => (i % odd === odd - 1 ? 2 : 0));
      const graph = await layer(precision, one, odd);
      const y = await graph.run(
        Float32Array.from({ length: odd }, (_, i) => (i === odd - 1 ? 5 : 0)),
        [1, odd],
      );
      for (const value of y) expect(value).toBeCloseTo(10, 0);
    }
  });
});

test('in int8 a row of NaN, as a norm makes it of a single NaN, stays so', async () => {
  const [K, N] = [160, 40];
  const graph = await layer('int8', bellShaped(N * K, 11), K);
  const rows = [...new Float32Array(K).fill(NaN), ...bellShaped(K, 2)];
  const y = await graph.run(rows, [2, K]);
  expect(y.subarray(0, N).every(Number.isNaN)).toBe(true);
  expect(y.subarray(N).some(Number.isNaN)).toBe(false);
});

test('after a ReLU int8 has twice the resolution, since no input is negative', async () => {
  const [rows, K, N] = [8, 256, 32];
  // Weights that 8 bits hold exactly, so that only the rounding of the inputs is left.
  const weight = Float32Array.from(bellShaped(N * K, 5), (value, i) => (i % 2 === 0 ? 127 : Math.sign(value) * 0));
  const x = activations(rows, K);
  const positive = x.map((value) => Math.max(value, 0));
  const exact = exactProduct(positive, weight, K);
  const plain = relativeError(await (await layer('int8', weight, K)).run(positive, [rows, K]), exact);
  const afterRelu = relativeError(await (await layer('int8', weight, K, ['M', K], relu)).run(x, [rows, K]), exact);
  expect(afterRelu / plain).toBeLessThan(0.6);
});
