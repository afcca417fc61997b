/**
 * The merges of a SentencePiece BPE model, which its file does not hold: it joins whichever neighbours make the piece with the best score.
 */
import type { Piece } from './sentencepiece-model.ts';

/**
 * Every way to make a piece out of two others, best first: by the score of the piece, then by the ids of its parts, in the order that the
 * publishers' conversion has.
 */
export function mergesOf(pieces: readonly Piece[]): [string, string][] {
  const normal = new Map(pieces.flatMap(({ text, kind }, id) => (kind === 'normal' ? [[text, id] as const] : [])));
  const merges: { parts: [string, string]; score: number; ids: [number, number] }[] = [];
  for (const { text, score, kind } of pieces) {
    if (kind !== 'normal') continue;
    const splits: typeof merges = [];
    for (let at = 1; at < text.length; at++) {
      const parts: [string, string] = [text.slice(0, at), text.slice(at)];
      const [left, right] = [normal.get(parts[0]), normal.get(parts[1])];
      if (left !== undefined && right !== undefined) splits.push({ parts, score, ids: [left, right] });
    }
    merges.push(...splits.toSorted((a, b) => a.ids[0] - b.ids[0] || a.ids[1] - b.ids[1]));
  }
  // The sort keeps the order of equal scores.
  return merges.toSorted((a, b) => b.score - a.score).map(({ parts }) => parts);
}
