import { expect, test } from 'vitest';
import { bytesPerRow } from '../../src/language/kv-cache-size.ts';
import { KvCache } from '../../src/language/kv-cache.ts';

const shape = { rows: 3, layers: 2, heads: 2, maxLength: 4, headDim: 2 };

/** Fills a row with numbers that name layer, part, row and position. */
function fill(cache: KvCache, row: number, mark: number): void {
  for (const tensor of Object.values(cache.window(row, 1).past)) (tensor.data as Float32Array).fill(mark);
}

const firstValues = (cache: KvCache, row: number) =>
  Object.values(cache.window(row, 1).past).map((tensor) => [...(tensor.data as Float32Array)]);

test('a window is a view: what is written through it is seen by every other window', () => {
  const cache = new KvCache(shape);
  fill(cache, 1, 7);
  const rowLength = 2 * 4 * 2;
  for (const tensor of Object.values(cache.window(0, 3).past)) {
    const data = tensor.data as Float32Array;
    expect([data.indexOf(7), data.lastIndexOf(7)]).toEqual([rowLength, 2 * rowLength - 1]);
  }
});

test('past and present name the same tensors, so that the graph updates them in place', () => {
  const { past, present } = new KvCache(shape).window(0, 2);
  expect(Object.keys(past)).toEqual(['0.key', '0.value', '1.key', '1.value'].map((name) => `past_key_values.${name}`));
  expect(present['present.1.value']).toBe(past['past_key_values.1.value']);
});

test('copying a row copies its first positions in every head, layer and part, and nothing else', () => {
  const cache = new KvCache(shape);
  fill(cache, 2, 5);
  cache.copyRow(2, 0, 3);
  const oneHead = [5, 5, 5, 5, 5, 5, 0, 0];
  for (const values of firstValues(cache, 0)) expect(values).toEqual([...oneHead, ...oneHead]);
  for (const values of firstValues(cache, 1)) expect(values.every((value) => value === 0)).toBe(true);
});

test('the size of a row is what the buffers take', () => {
  expect(bytesPerRow(shape) * shape.rows).toBe(2 * 2 * 3 * 2 * 4 * 2 * 4);
});
