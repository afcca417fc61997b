/**
 * The row of a conversation: what the model has read and written stays in its cache from turn to turn, and of the next prompt only the end
 * that differs is read.
 *
 * The ids decide, not the texts: an answer that is cleaned up, or that reads the same in other tokens, is read again from where it differs.
 * A model that reads prompts with an encoder reads each as a whole.
 *
 * T positions, Q image tokens, d hidden size, V vocabulary rows.
 */
import type { LanguageModel, RowCache, RowEmbeds } from '../../language/language-model.ts';
import { required } from '../../required.ts';
import { embedPrompt, promptLength, type ImagePrompt } from '../prompt-embeds.ts';

/**
 * A longer prompt is read in pieces of so many positions: attention holds a number for each of them, each position before and each head, which
 * for 4,096 positions at once would be gigabytes. It is also how soon an abort is noticed.
 */
const READ_AT_ONCE = 256;

/** Stands for an image token among the ids of a row. */
const IMAGE = -1;

export class KeptRow {
  readonly #language: LanguageModel;
  #cache: RowCache | undefined;
  /** The id of every position that the cache holds. */
  #held: number[] = [];
  #heldImage = new Float32Array();

  constructor(language: LanguageModel) {
    this.#language = language;
  }

  /** Positions that a prompt takes. */
  lengthOf(prompt: ImagePrompt): number {
    return promptLength(prompt, this.#language.declaration);
  }

  /**
   * Reads a prompt, for which there must be room.
   *
   * @returns logits of the first token, [V], how many positions the row holds now, and how many of them were read just now; undefined
   * where `signal` was aborted on the way. What was read until then is kept.
   */
  async read(
    prompt: ImagePrompt,
    signal?: AbortSignal,
  ): Promise<{ logits: Float32Array; length: number; read: number } | undefined> {
    const ids = this.#idsOf(prompt);
    const keepsBeginning = this.#language.extend !== undefined;
    const kept = keepsBeginning ? Math.min(this.#commonLength(ids, prompt.imageTokens), ids.length - 1) : 0;
    const pieceLength = keepsBeginning ? READ_AT_ONCE : ids.length;
    // Until a run has ended well, nothing behind these positions can be relied on.
    this.#held.length = Math.min(this.#held.length, kept);
    this.#heldImage = prompt.imageTokens.slice();
    for (let start = kept; ; start += pieceLength) {
      if (signal?.aborted === true) return undefined;
      const end = Math.min(start + pieceLength, ids.length);
      const { logits, length } = await this.#readPiece(await embedPrompt(this.#language, prompt, start, end), start);
      this.#held.push(...ids.slice(start, end));
      if (end === ids.length) return { logits, length, read: end - kept };
    }
  }

  /**
   * Reads one token behind what was read and written.
   *
   * @param length positions that the row holds
   * @returns logits of the next one, [V]
   */
  async step(tokenId: number, length: number): Promise<Float32Array> {
    if (this.#cache === undefined) throw new RangeError('a row is written only behind a prompt');
    const logits = await this.#language.step(this.#cache, [tokenId], [length]);
    this.#held.push(tokenId);
    return logits;
  }

  async #readPiece(piece: RowEmbeds, start: number): Promise<{ logits: Float32Array; length: number }> {
    const language = this.#language;
    this.#cache ??= language.newCache(1, language.declaration.maxPositionEmbeddings);
    if (start > 0 && language.extend !== undefined) {
      return { logits: await language.extend(this.#cache, 0, piece, start), length: start + piece.length };
    }
    const { logits, lengths } = await language.prefill(this.#cache, 0, [piece]);
    return { logits, length: required(lengths[0], 'the length of a prompt that was read') };
  }

  #idsOf({ segments, imageTokens }: ImagePrompt): number[] {
    return segments.flatMap((segment) => {
      if (segment !== null) return segment;
      return Array<number>(this.lengthOf({ segments: [null], imageTokens })).fill(IMAGE);
    });
  }

  /** How many of the first positions are what the row holds already. */
  #commonLength(ids: readonly number[], imageTokens: Float32Array): number {
    const isSameImage = sameNumbers(imageTokens, this.#heldImage);
    const differing = ids.findIndex((id, position) => id !== this.#held[position] || (id === IMAGE && !isSameImage));
    return differing < 0 ? ids.length : differing;
  }
}

function sameNumbers(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}
