/**
 * Pairs of an image and a text, in batches for a Q-Former that reads both. Each batch holds the embeddings of its images once, however many
 * texts are paired with them.
 */
import { int64Tensor, type Tensor } from '../runtime/session.ts';
import type { ImageEmbeds } from './image-embeds.ts';
import { padTexts, type TextBatch } from './text-batch.ts';

/**
 * Pairs of one run. Enough rows to keep the arithmetic busy (a pair has Q + T of them), and few enough that their keys and values of the
 * image stay small (25 MB at the published sizes).
 */
export const PAIRS_PER_RUN = 16;

export type PairBatch = TextBatch & {
  size: number;
  /** [I, N, Dv], each image once. */
  imageEmbeds: Tensor;
  /** int64 [B]: which of them belongs to each pair. */
  imageIndices: Tensor;
};

/**
 * @param images the image of each pair, an index into `imageEmbeds`
 * @param texts the token ids of each pair
 * @throws RangeError when there are not as many texts as images, an image is not there, or a text is empty.
 */
export function* pairBatches(
  imageEmbeds: ImageEmbeds,
  images: readonly number[],
  texts: readonly (readonly number[])[],
): Generator<PairBatch> {
  if (images.length !== texts.length)
    throw new RangeError(`${images.length} images do not pair with ${texts.length} texts`);
  for (let first = 0; first < images.length; first += PAIRS_PER_RUN) {
    const ofPairs = images.slice(first, first + PAIRS_PER_RUN);
    const distinct = [...new Set(ofPairs)].toSorted((a, b) => a - b);
    yield {
      size: ofPairs.length,
      imageEmbeds: imageEmbeds.select(distinct),
      imageIndices: int64Tensor(
        ofPairs.map((image) => distinct.indexOf(image)),
        [ofPairs.length],
      ),
      ...padTexts(texts.slice(first, first + PAIRS_PER_RUN)),
    };
  }
}
