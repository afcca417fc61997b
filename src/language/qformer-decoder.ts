/**
 * A Q-Former that writes captions by itself (image-grounded text generation, https://arxiv.org/abs/2301.12597, section 3.2; `generate` in LAVIS'
 * `blip2_qformer.py`): its queries have looked at the image already, and the text sees their keys and values as a prefix. What stands for the
 * image in a prompt is therefore not embeddings but these keys and values.
 *
 * B rows, L layers, H heads of size Dh, D = H·Dh hidden size, Q query tokens, S new positions, V vocabulary rows. A prompt is the prefix,
 * [L, 2, H, Q, Dh], which has the size of 2·L·Q embeddings, and then the embeddings of its text; the text begins with `[DEC]`.
 */
import type { LanguageDeclaration } from '../pack/model-declaration.ts';
import type { Compute } from '../runtime/compute.ts';
import { float32Tensor } from '../runtime/session.ts';
import { CachedForward } from './cached-forward.ts';
import { KvCache } from './kv-cache.ts';
import { ownCache, type LanguageModel, type Prefilled, type RowCache, type RowEmbeds } from './language-model.ts';

/** Holds native memory: dispose of it. */
export class QFormerDecoder implements LanguageModel {
  readonly declaration: LanguageDeclaration;
  readonly #numQueryTokens: number;
  readonly #forward: CachedForward;

  private constructor(declaration: LanguageDeclaration, numQueryTokens: number, forward: CachedForward) {
    this.declaration = declaration;
    this.#numQueryTokens = numQueryTokens;
    this.#forward = forward;
  }

  /**
   * @param directory of the pack
   * @param language whose `maxPositionEmbeddings` count the queries and the text
   * @throws PackError when a graph is missing or damaged.
   */
  static async load(
    directory: string,
    language: LanguageDeclaration,
    numQueryTokens: number,
    compute: Compute,
  ): Promise<QFormerDecoder> {
    // The queries take positions of the cache, but none of the text.
    const forward = await CachedForward.load(directory, 'itg_decoder.onnx', language, numQueryTokens, compute);
    return new QFormerDecoder(language, numQueryTokens, forward);
  }

  async embedTokens(tokenIds: readonly number[]): Promise<Float32Array> {
    return this.#forward.embedTokens(tokenIds);
  }

  newCache(rows: number, maxLength: number): KvCache {
    return this.#forward.newCache(rows, maxLength);
  }

  /** Queries, text and answer lie behind each other. */
  positionsNeeded(promptLength: number, maxNewTokens: number): number {
    return Math.min(this.#cachedLength(promptLength) + maxNewTokens, this.declaration.maxPositionEmbeddings);
  }

  /** The last token of a row is chosen without being read back, so it takes no room in the cache. */
  room(promptLength: number, maxLength: number): number {
    const length = this.#cachedLength(promptLength);
    return length < maxLength ? maxLength - length + 1 : 0;
  }

  /** @throws RangeError when a prompt is not a prefix with at least one token of text behind it. */
  async prefill(cache: RowCache, firstRow: number, rows: readonly RowEmbeds[]): Promise<Prefilled> {
    const own = ownCache(cache, KvCache);
    own.startRows(firstRow, rows.length);
    const texts = rows.map((row, index) => this.#placePrefix(own, firstRow + index, row));
    const pastLengths = rows.map(() => this.#numQueryTokens);
    const logits = await this.#forward.read(own, firstRow, this.#forward.pad(texts, pastLengths));
    return { logits, lengths: texts.map(({ length }) => this.#numQueryTokens + length) };
  }

  async step(cache: RowCache, tokenIds: readonly number[], pastLengths: readonly number[]): Promise<Float32Array> {
    return this.#forward.step(cache, tokenIds, pastLengths);
  }

  async dispose(): Promise<void> {
    await this.#forward.dispose();
  }

  /** Rows of embeddings that a prefix has the size of. */
  get #prefixLength(): number {
    return 2 * this.declaration.numHiddenLayers * this.#numQueryTokens;
  }

  /** Positions that a prompt takes in the cache: its queries and its text. */
  #cachedLength(promptLength: number): number {
    return this.#numQueryTokens + promptLength - this.#prefixLength;
  }

  /** Copies the keys and values of the queries to the first positions of a row of the cache. Returns the text behind them. */
  #placePrefix(cache: KvCache, row: number, { embeds, length }: RowEmbeds): RowEmbeds {
    const { hiddenSize, numHiddenLayers, numKeyValueHeads, headDim } = this.declaration;
    const textLength = length - this.#prefixLength;
    if (textLength < 1) {
      throw new RangeError(
        `a prompt should be ${this.#prefixLength} rows of keys and values and at least one token, but has ${length} rows`,
      );
    }
    const partLength = this.#numQueryTokens * numKeyValueHeads * headDim;
    const dims = [1, numKeyValueHeads, this.#numQueryTokens, headDim];
    const parts = Array.from({ length: numHiddenLayers }, (_, n) => [`present.${n}.key`, `present.${n}.value`]).flat();
    const prefix = parts.map(
      (name, index) =>
        [name, float32Tensor(embeds.subarray(index * partLength, (index + 1) * partLength), dims)] as const,
    );
    cache.write(Object.fromEntries(prefix), row, [0], [this.#numQueryTokens]);
    return { embeds: embeds.subarray(this.#prefixLength * hiddenSize), length: textLength };
  }
}
