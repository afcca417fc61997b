/** Texts of different lengths as one batch for the Q-Former: padded on the right, and the padding masked, so that it changes no text's numbers. */
import { int64Tensor, type Tensor } from '../runtime/session.ts';

/** int64 [B, T] each: token ids, 0 for padding; 1 for text and 0 for padding. */
export type TextBatch = { inputIds: Tensor; attentionMask: Tensor };

/** @throws RangeError when a text has no tokens: nothing could be looked at. */
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
