import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ImageEmbeds, joinParts, partPerRow } from '../../src/vision/image-embeds.ts';

/** Numbers that name their place: image, then position. */
function numbered(images: number, length: number): Float32Array {
  return Float32Array.from({ length: images * length }, (_, i) => 1000 * Math.floor(i / length) + (i % length));
}

const batches = fc
  .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 3 }))
  .chain(([images, tokens, width]) =>
    fc.tuple(
      fc.constant([images, tokens, width] as const),
      fc.array(fc.integer({ min: 0, max: images - 1 }), { maxLength: 8 }),
    ),
  );

test('any images in any order are selected as they are', () => {
  fc.assert(
    fc.property(batches, ([[images, tokens, width], selected]) => {
      const embeds = new ImageEmbeds(numbered(images, tokens * width), [images, tokens, width]);
      const tensor = embeds.select(selected);
      expect(tensor.dims).toEqual([selected.length, tokens, width]);
      const expected = selected.flatMap((image) =>
        Array.from(embeds.data.slice(image * tokens * width, (image + 1) * tokens * width)),
      );
      expect([...(tensor.data as Float32Array)]).toEqual(expected);
    }),
  );
});

test('neighbours are not copied', () => {
  const embeds = new ImageEmbeds(numbered(4, 6), [4, 3, 2]);
  expect((embeds.select([1, 2]).data as Float32Array).buffer).toBe(embeds.data.buffer);
  expect((embeds.select([2, 1]).data as Float32Array).buffer).not.toBe(embeds.data.buffer);
  expect(embeds.tensor.data).toBe(embeds.data);
});

describe('refused is', () => {
  test.each([[-1], [4], [0.5]])('image %d of four', (image) => {
    const embeds = new ImageEmbeds(numbered(4, 6), [4, 3, 2]);
    expect(() => embeds.select([0, image])).toThrow(/there is no image .* among 4/);
  });

  test('a batch of another size than its shape', () => {
    expect(() => new ImageEmbeds(new Float32Array(23), [4, 3, 2])).toThrow(/4 x 3 x 2 numbers but holds 23/);
  });
});

test('a result is cut into rows and joined again', () => {
  const values = numbered(3, 5);
  const parts = partPerRow(values, 3);
  expect(parts.map((part) => part[0])).toEqual([0, 1000, 2000]);
  expect(joinParts(parts)).toEqual(values);
  expect(joinParts([])).toEqual(new Float32Array());
});
