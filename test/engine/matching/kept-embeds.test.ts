import { expect, test } from 'vitest';
import { KeptEmbeds } from '../../../src/engine/matching/kept-embeds.ts';
import { ImageEmbeds } from '../../../src/vision/image-embeds.ts';

/** Two images of 1 x 2 numbers, 8 bytes each. */
const embeds = new ImageEmbeds(Float32Array.of(1, 2, 3, 4), [2, 1, 2]);

test('what is kept comes back in the order it is asked for', () => {
  const kept = new KeptEmbeds(100);
  expect([kept.keep(7, embeds, 0), kept.keep(3, embeds, 1)]).toEqual([true, true]);
  const selected = kept.select([3, 7, 3]);
  expect([...selected.data]).toEqual([3, 4, 1, 2, 3, 4]);
  expect(selected.dims).toEqual([3, 1, 2]);
});

test('it keeps a copy', () => {
  const data = Float32Array.of(1, 2);
  const kept = new KeptEmbeds(100);
  kept.keep(0, new ImageEmbeds(data, [1, 1, 2]), 0);
  data.fill(9);
  expect([...kept.select([0]).data]).toEqual([1, 2]);
});

test('there is no more room than was given, and forgetting makes room', () => {
  const kept = new KeptEmbeds(16);
  expect([0, 1, 2].map((image) => kept.keep(image, embeds, 0))).toEqual([true, true, false]);
  expect(() => kept.select([2])).toThrow('the embeddings of image 2 were not kept');
  kept.forget([0, 5]);
  expect(kept.keep(2, embeds, 1)).toBe(true);
  expect(kept.keep(3, embeds, 1)).toBe(false);
  expect(() => kept.select([0])).toThrow(RangeError);
});
