import { expect, test } from 'vitest';
import { bytesPerRow } from '../../src/language/kv-cache-size.ts';
import { KvCache } from '../../src/language/kv-cache.ts';
import { float32Data, float32Tensor, type Tensor } from '../../src/runtime/session.ts';

const shape = { rows: 3, layers: 2, heads: 2, maxLength: 64, headDim: 2 };
const NAMES = ['0.key', '0.value', '1.key', '1.value'];

/** Results of a graph for `rows` rows and `positions` new positions, each number the same. */
function results(rows: number, positions: number, value: number): Record<string, Tensor> {
  const { heads, headDim } = shape;
  const data = () => new Float32Array(rows * heads * positions * headDim).fill(value);
  return Object.fromEntries(
    NAMES.map((name) => [`present.${name}`, float32Tensor(data(), [rows, heads, positions, headDim])]),
  );
}

/** The positions of a row in one head of one layer, by their first number. */
function positionsOf(cache: KvCache, row: number, name = '1.value'): number[] {
  const values = float32Data(cache.inputs(row, 1), `past_key_values.${name}`);
  return [...values.subarray(0, values.length / shape.heads)].filter((_, index) => index % shape.headDim === 0);
}

test('new positions stand behind what a row holds, each row with a length of its own', () => {
  const cache = new KvCache(shape);
  cache.write(results(2, 3, 1), 0, [0, 0], [3, 2]);
  cache.write(results(2, 1, 2), 0, [3, 2], [1, 1]);
  for (const name of NAMES) {
    expect(positionsOf(cache, 0, name).slice(0, 5)).toEqual([1, 1, 1, 2, 0]);
    expect(positionsOf(cache, 1, name).slice(0, 5)).toEqual([1, 1, 2, 0, 0]);
    expect(positionsOf(cache, 2, name).every((value) => value === 0)).toBe(true);
  }
});

test('rows that hold nothing yet are read without positions', () => {
  const cache = new KvCache(shape);
  cache.write(results(1, 3, 1), 0, [0], [3]);
  const inputs = cache.emptyInputs(2);
  expect(Object.keys(inputs)).toEqual(NAMES.map((name) => `past_key_values.${name}`));
  for (const { dims } of Object.values(inputs)) expect(dims).toEqual([2, shape.heads, 0, shape.headDim]);
});

test('nothing is left of what a row held when a new prompt gets it', () => {
  const cache = new KvCache(shape);
  cache.write(results(3, 4, NaN), 0, [0, 0, 0], [4, 4, 4]);
  cache.startRows(1, 1);
  expect(positionsOf(cache, 1).every((value) => value === 0)).toBe(true);
  expect(positionsOf(cache, 2)[0]).toBeNaN();
});

test('a copied row is the same in every head, layer and part', () => {
  const cache = new KvCache(shape);
  cache.write(results(1, 4, 5), 2, [0], [4]);
  cache.copyRow(2, 0);
  for (const name of NAMES) expect(positionsOf(cache, 0, name)).toEqual(positionsOf(cache, 2, name));
  expect(positionsOf(cache, 1).every((value) => value === 0)).toBe(true);
});

test('the size of a row is what full buffers take', () => {
  const cache = new KvCache(shape);
  cache.write(results(1, 64, 1), 0, [0], [64]);
  const bytes = Object.values(cache.inputs(0, 3)).reduce((sum, { data }) => sum + (data as Float32Array).byteLength, 0);
  expect(bytesPerRow(shape) * shape.rows).toBe(bytes);
});
