/**
 * Texts, and pairs of an image and a text, in batches for a Q-Former. Each batch holds the embeddings of its images once, however many texts are
 * paired with them.
 */
import { int64Tensor, type Tensor } from '../runtime/session.ts';
import type { ImageEmbeds } from './image-embeds.ts';

/**
 * Pairs of one run. Enough rows to keep the arithmetic busy (a pair has Q + T of them), and few enough that their keys and values of the
 * image stay small (25 MB at the published sizes).
 */
export const PAIRS_PER_RUN = 16;

/**
 * Texts of different lengths, padded on the right; the padding is masked, so that it changes no text's numbers. int64 [B, T] each: token ids, 0 for
 * padding; 1 for text and 0 for padding.
 */
export type TextBatch = { inputIds: Tensor; attentionMask: Tensor };

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

/** Texts as one batch. @throws RangeError when a text has no tokens: nothing could be looked at. */
export function padTexts(texts: readonly (readonly number[])[]): TextBatch {
  const longest = texts.reduce((length, text) => Math.max(length, text.length), 0); // T
  const ids: number[] = [];
  const mask: number[] = [];
  for (const text of texts) {
    if (text.length === 0) throw new RangeError('a text for the Q-Former has at least one token');
    const padding = Array<number>(longest - text.length).fill(0);
    ids.push(...text, ...padding);
    mask.push(...text.map(() => 1), ...padding);
  }
  const dims = [texts.length, longest];
  return { inputIds: int64Tensor(ids, dims), attentionMask: int64Tensor(mask, dims) };
}
