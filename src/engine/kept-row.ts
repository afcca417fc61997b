/**
 * The row of a conversation: what the model has read and written stays in its cache from turn to turn, and of the next prompt only the end
 * that differs is read.
 *
 * The ids decide, not the texts: an answer that is cleaned up, or that reads the same in other tokens, is read again from where it differs.
 * A model that reads prompts with an encoder reads each as a whole.
 *
 * T positions, Q image tokens, d hidden size, V vocabulary rows.
 */
import type { LanguageModel, RowCache, RowEmbeds } from '../language/language-model.ts';
import type { PromptIds } from './model.ts';

/** A prompt with the image tokens [Q, d] that stand where its image is. */
export type ImagePrompt = { segments: PromptIds['segments']; imageTokens: Float32Array };

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
  lengthOf({ segments, imageTokens }: ImagePrompt): number {
    const imageLength = imageTokens.length / this.#language.declaration.hiddenSize;
    return segments.reduce((sum, segment) => sum + (segment?.length ?? imageLength), 0);
  }

  /**
   * Reads a prompt, for which there must be room.
   *
   * @returns logits of the first token, [V], how many positions the row holds now, and how many of them were read just now
   */
  async read(prompt: ImagePrompt): Promise<{ logits: Float32Array; length: number; read: number }> {
    const language = this.#language;
    const ids = this.#idsOf(prompt);
    const kept = language.extend === undefined ? 0 : Math.min(this.#commonLength(ids, prompt.imageTokens), ids.length - 1);
    this.#cache ??= language.newCache(1, language.declaration.maxPositionEmbeddings);
    const rest = await this.#embed(ids, prompt.imageTokens, kept);
    // Until the run has ended well, nothing behind these positions can be relied on.
    this.#held.length = Math.min(this.#held.length, kept);
    if (kept > 0 && language.extend !== undefined) {
      const logits = await language.extend(this.#cache, 0, rest, kept);
      this.#hold(ids, prompt.imageTokens);
      return { logits, length: ids.length, read: rest.length };
    }
    const { logits, lengths } = await language.prefill(this.#cache, 0, [rest]);
    this.#hold(ids, prompt.imageTokens);
    return { logits, length: lengths[0] ?? 0, read: rest.length };
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

  #hold(ids: number[], imageTokens: Float32Array): void {
    this.#held = ids;
    this.#heldImage = imageTokens.slice();
  }

  #idsOf({ segments, imageTokens }: ImagePrompt): number[] {
    const imageLength = imageTokens.length / this.#language.declaration.hiddenSize;
    return segments.flatMap((segment) => segment ?? Array<number>(imageLength).fill(IMAGE));
  }

  /** How many of the first positions are what the row holds already. */
  #commonLength(ids: readonly number[], imageTokens: Float32Array): number {
    const isSameImage = sameNumbers(imageTokens, this.#heldImage);
    const differing = ids.findIndex((id, position) => id !== this.#held[position] || (id === IMAGE && !isSameImage));
    return differing < 0 ? ids.length : differing;
  }

  /** Embeddings of the positions from `start` on. */
  async #embed(ids: readonly number[], imageTokens: Float32Array, start: number): Promise<RowEmbeds> {
    const { hiddenSize } = this.#language.declaration;
    const length = ids.length - start;
    const embeds = new Float32Array(length * hiddenSize); // [T, d]
    for (let position = start; position < ids.length; ) {
      const at = (position - start) * hiddenSize;
      const isImage = ids[position] === IMAGE;
      const end = endOfStretch(ids, position);
      if (isImage) {
        const first = position - ids.indexOf(IMAGE);
        embeds.set(imageTokens.subarray(first * hiddenSize, (first + end - position) * hiddenSize), at);
      } else {
        embeds.set(await this.#language.embedTokens(ids.slice(position, end)), at);
      }
      position = end;
    }
    return { embeds, length };
  }
}

/** Where the stretch of image tokens or of text that begins at `start` ends. */
function endOfStretch(ids: readonly number[], start: number): number {
  const isImage = ids[start] === IMAGE;
  let end = start + 1;
  while (end < ids.length && (ids[end] === IMAGE) === isImage) end++;
  return end;
}

function sameNumbers(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}
