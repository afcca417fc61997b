import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Tensor } from '../../src/runtime/session.ts';
import { ImageEmbeds } from '../../src/vision/image-embeds.ts';
import { padTexts, pairBatches, PAIRS_PER_RUN } from '../../src/vision/image-text-pairs.ts';

/** Five images of one number each: the number of the image. */
const imageEmbeds = new ImageEmbeds(Float32Array.of(0, 1, 2, 3, 4), [5, 1, 1]);

const text = fc.array(fc.integer({ min: 1, max: 30_522 }), { minLength: 1, maxLength: 9 });
const pairs = fc.array(fc.record({ image: fc.integer({ min: 0, max: 4 }), text }), {
  maxLength: 3 * PAIRS_PER_RUN,
});

function numbers(tensor: Tensor): number[] {
  return Array.from(tensor.data as Iterable<bigint | number>, Number);
}

/** Each row of a batch of texts, cut where its mask ends. */
function unpad({ inputIds, attentionMask }: { inputIds: Tensor; attentionMask: Tensor }): number[][] {
  const [rows = 0, width = 0] = inputIds.dims;
  expect(attentionMask.dims).toEqual(inputIds.dims);
  const [ids, mask] = [numbers(inputIds), numbers(attentionMask)];
  return Array.from({ length: rows }, (_, row) => {
    const ofRow = mask.slice(row * width, (row + 1) * width);
    const length = ofRow.lastIndexOf(1) + 1;
    expect(ofRow).toEqual(ofRow.map((_bit, position) => (position < length ? 1 : 0)));
    const padded = ids.slice(row * width, (row + 1) * width);
    expect(padded.slice(length).every((id) => id === 0)).toBe(true);
    return padded.slice(0, length);
  });
}

test('every pair comes back once, in order, with its own image and its whole text', () => {
  fc.assert(
    fc.property(pairs, (wanted) => {
      const received: { image: number; text: number[] }[] = [];
      const batches = pairBatches(
        imageEmbeds,
        wanted.map(({ image }) => image),
        wanted.map((pair) => pair.text),
      );
      for (const batch of batches) {
        const embeds = numbers(batch.imageEmbeds);
        const texts = unpad(batch);
        expect(batch.size).toBeLessThanOrEqual(PAIRS_PER_RUN);
        expect(texts).toHaveLength(batch.size);
        expect(new Set(embeds).size).toBe(embeds.length);
        numbers(batch.imageIndices).forEach((index, row) =>
          received.push({ image: embeds[index] ?? NaN, text: texts[row] ?? [] }),
        );
      }
      expect(received).toEqual(wanted);
    }),
  );
});

test('texts are padded to the longest of them and no further', () => {
  const { inputIds, attentionMask } = padTexts([[101, 7, 102], [101], [5, 6]]);
  expect(inputIds.dims).toEqual([3, 3]);
  expect(numbers(inputIds)).toEqual([101, 7, 102, 101, 0, 0, 5, 6, 0]);
  expect(numbers(attentionMask)).toEqual([1, 1, 1, 1, 0, 0, 1, 1, 0]);
});
