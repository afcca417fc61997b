import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Candidates } from '../../src/pipeline/candidates.ts';

/** Few values, so that ties are common. */
const similarities = fc
  .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 30 }))
  .chain(([texts, images]) =>
    fc.array(fc.array(fc.integer({ min: -3, max: 3 }), { minLength: texts, maxLength: texts }), {
      minLength: images,
      maxLength: images,
    }),
  );

test('in whatever order images come, those with a place are the first of a sorted list, and every other one is let go once', () => {
  fc.assert(
    fc.property(similarities, fc.integer({ min: 1, max: 6 }), fc.infiniteStream(fc.nat()), (rows, size, order) => {
      const texts = rows[0]?.length ?? 1;
      const shuffled = rows.map((row, image) => ({ image, row, key: order.next().value as number }));
      const candidates = new Candidates(texts, size);
      const letGo = shuffled.toSorted((a, b) => a.key - b.key).flatMap(({ image, row }) => candidates.add(image, row));

      const expected = Array.from({ length: texts }, (_, text) =>
        rows
          .map((row, image) => ({ image, similarity: row[text] ?? NaN }))
          .toSorted((a, b) => b.similarity - a.similarity || a.image - b.image)
          .slice(0, size),
      );
      const placed = [...new Set(expected.flat().map(({ image }) => image))].toSorted((a, b) => a - b);
      expect(candidates.byImage()).toEqual(
        placed.map((image) => ({
          image,
          texts: expected.flatMap((list, text) =>
            list.filter((candidate) => candidate.image === image).map(({ similarity }) => ({ text, similarity })),
          ),
        })),
      );
      expect(letGo.toSorted((a, b) => a - b)).toEqual([...rows.keys()].filter((image) => !placed.includes(image)));
    }),
  );
});
