import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EncoderDecoderCache } from '../../src/language/encoder-decoder-cache.ts';
import { KeyValueBuffers } from '../../src/language/key-value-buffers.ts';
import { float32Data, float32Tensor, type Tensor } from '../../src/runtime/session.ts';

const shape = { rows: 3, layers: 2, heads: 2, maxLength: 100, headDim: 2 };
const NAMES = ['0.decoder.key', '0.decoder.value', '1.decoder.key', '1.decoder.value'];

/** Results of a graph for rows of S positions: numbers in which mark, buffer, row, head, position and feature can be read off. */
function results(rows: number, S: number, mark: number, side = 'decoder'): Record<string, Tensor> {
  const { heads, headDim, layers } = shape;
  const entries = Array.from({ length: 2 * layers }, (_, buffer) => {
    const values = Float32Array.from({ length: rows * heads * S * headDim }, (__, i) => {
      const [feature, position] = [i % headDim, Math.floor(i / headDim) % S];
      const [head, row] = [Math.floor(i / headDim / S) % heads, Math.floor(i / headDim / S / heads)];
      return numberAt(mark, buffer, row, head, position, feature);
    });
    const name = `present.${Math.floor(buffer / 2)}.${side}.${buffer % 2 === 0 ? 'key' : 'value'}`;
    return [name, float32Tensor(values, [rows, heads, S, headDim])] as const;
  });
  return Object.fromEntries(entries);
}

function numberAt(mark: number, buffer: number, row: number, head: number, position: number, feature: number): number {
  return mark * 1e5 + buffer * 1e4 + row * 1e3 + head * 500 + position * 2 + feature;
}

/** The positions that a row holds in one buffer and head. */
function read(buffers: KeyValueBuffers, row: number, name: string, head: number): number[] {
  const inputs = buffers.inputs(row, 1);
  const { capacity } = buffers;
  expect(inputs[`past_key_values.${name}`]?.dims).toEqual([1, shape.heads, capacity, shape.headDim]);
  const values = float32Data(inputs, `past_key_values.${name}`);
  return [...values.subarray(head * capacity * 2, (head + 1) * capacity * 2)];
}

describe('what is written', () => {
  test('stands in its row, at its position, in every layer, part and head, and nowhere else', () => {
    fc.assert(
      fc.property(fc.nat(40), fc.integer({ min: 1, max: 5 }), fc.nat(1), (start, count, first) => {
        const buffers = new KeyValueBuffers(shape, 'decoder');
        buffers.reserve(start + count);
        buffers.write(results(2, 5, 1), first, [start, 0], [count, 0]);
        NAMES.forEach((name, buffer) => {
          for (let head = 0; head < 2; head++) {
            const expected = Array.from({ length: 2 * buffers.capacity }, () => 0);
            for (let i = 0; i < 2 * count; i++)
              expected[2 * start + i] = numberAt(1, buffer, 0, head, Math.floor(i / 2), i % 2);
            expect(read(buffers, first, name, head)).toEqual(expected);
            expect(read(buffers, (first + 1) % 3, name, head).every((value) => value === 0)).toBe(true);
          }
        });
      }),
    );
  });

  test('is still there after the buffers have grown', () => {
    const buffers = new KeyValueBuffers(shape, 'decoder');
    buffers.reserve(5);
    buffers.write(results(3, 5, 1), 0, [0, 0, 0], [5, 5, 5]);
    const before = read(buffers, 2, '1.decoder.value', 1).slice(0, 10);
    const length = buffers.capacity;
    buffers.reserve(length + 1);
    expect(buffers.capacity).toBeGreaterThan(length);
    const after = read(buffers, 2, '1.decoder.value', 1);
    expect(after.slice(0, 10)).toEqual(before);
    expect(after.slice(10).every((value) => value === 0)).toBe(true);
  });

  test('is gone from cleared rows, NaN included, and stays in the others', () => {
    const buffers = new KeyValueBuffers(shape, 'decoder');
    buffers.reserve(5);
    buffers.write(results(3, 5, NaN), 0, [0, 0, 0], [5, 5, 5]);
    buffers.write(results(1, 5, 4), 2, [0], [5]);
    buffers.clearRows(0, 2);
    for (const row of [0, 1]) expect(read(buffers, row, '0.decoder.key', 0).every((value) => value === 0)).toBe(true);
    expect(read(buffers, 2, '0.decoder.key', 0).slice(0, 2)).toEqual([4e5, 4e5 + 1]);
  });
});

test('buffers are as long as the longest row needs, never longer than rows may be', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1 }), (lengths) => {
      const buffers = new KeyValueBuffers(shape, 'encoder');
      for (const length of lengths) buffers.reserve(length);
      const longest = Math.max(...lengths);
      expect(buffers.capacity).toBeGreaterThanOrEqual(longest);
      expect(buffers.capacity).toBeLessThanOrEqual(Math.min(longest + 31, 100));
    }),
  );
});

/** Buffers of 96 positions, with five written in each row. */
function large(): KeyValueBuffers {
  const buffers = new KeyValueBuffers(shape, 'decoder');
  buffers.reserve(90);
  buffers.write(results(3, 5, 1), 0, [0, 0, 0], [5, 5, 5]);
  return buffers;
}

describe('when rows are much shorter than the buffers', () => {
  test('memory is given back after 32 steps, and what the rows hold stays', () => {
    const buffers = large();
    const before = NAMES.map((name) => [0, 1, 2].map((row) => read(buffers, row, name, 1).slice(0, 10)));
    for (let step = 0; step < 31; step++) buffers.settle(5);
    expect(buffers.capacity).toBe(96);
    buffers.settle(5);
    expect(buffers.capacity).toBe(32);
    expect(NAMES.map((name) => [0, 1, 2].map((row) => read(buffers, row, name, 1).slice(0, 10)))).toEqual(before);
    for (const { data } of Object.values(buffers.inputs(0, 3))) expect(data.length).toBe(3 * 2 * 32 * 2);
  });

  test('one step that needs them keeps them as they are', () => {
    const buffers = large();
    for (let step = 0; step < 200; step++) buffers.settle(step % 32 === 31 ? 60 : 5);
    expect(buffers.capacity).toBe(96);
  });

  test('they keep room for the longest of the last rows', () => {
    const buffers = new KeyValueBuffers({ ...shape, maxLength: 500 }, 'decoder');
    buffers.reserve(500);
    for (let step = 0; step < 32; step++) buffers.settle(step === 3 ? 100 : 5);
    expect(buffers.capacity).toBe(128);
  });

  test('nothing is given back that saves less than half', () => {
    const buffers = large();
    for (let step = 0; step < 100; step++) buffers.settle(40);
    expect(buffers.capacity).toBe(96);
  });
});

test('a row that is longer than rows may be is refused', () => {
  expect(() => new KeyValueBuffers(shape, 'decoder').reserve(101)).toThrow(RangeError);
});

test('a copied row takes prompt, length of the prompt and written positions along', () => {
  const cache = new EncoderDecoderCache(shape);
  cache.startRows(0, [3, 5, 4], results(3, 5, 1, 'encoder'));
  cache.decoder.reserve(2);
  cache.decoder.write(results(3, 1, 2), 0, [0, 0, 0], [1, 1, 1]);
  const inputs = (row: number) => Object.values(cache.inputs(row, 1)).map(({ data }) => [...(data as Float32Array)]);
  const moved = inputs(1);
  cache.copyRow(1, 0);
  expect(inputs(0)).toEqual(moved);
  expect(cache.encoderLengths(0, 3)).toEqual([5, 5, 4]);
});

test('a row that is given to a new prompt holds nothing of the one before', () => {
  const cache = new EncoderDecoderCache(shape);
  cache.startRows(0, [5, 5, 5], results(3, 5, NaN, 'encoder'));
  cache.decoder.reserve(2);
  cache.decoder.write(results(3, 1, NaN), 0, [0, 0, 0], [1, 1, 1]);
  cache.startRows(1, [2], results(1, 2, 1, 'encoder'));
  const values = Object.values(cache.inputs(1, 1)).flatMap(({ data }) => [...(data as Float32Array)]);
  expect(values.some(Number.isNaN)).toBe(false);
  expect(cache.encoderLengths(0, 3)).toEqual([5, 2, 5]);
});

// Buffers of which some had grown and some had not gave rows the keys of others.
test('where memory runs out while the buffers grow, nothing is read from them any more', () => {
  const buffers = new KeyValueBuffers({ rows: 1, layers: 2, heads: 1, maxLength: 2 ** 50, headDim: 1 });
  buffers.reserve(5);
  buffers.inputs(0, 1);
  expect(() => buffers.reserve(2 ** 45)).toThrow(RangeError);
  expect(() => buffers.inputs(0, 1)).toThrow('memory ran out while the cache changed its size');
  expect(() => buffers.reserve(5)).toThrow('memory ran out while the cache changed its size');
});
