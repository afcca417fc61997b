/**
 * A Q-Former that writes captions by itself (ITG, spec 2.2e): its queries have looked at the image already, and the text sees their keys and
 * values as a prefix. What stands for the image in a prompt is therefore not embeddings but these keys and values.
 *
 * B rows, L layers, H heads of size Dh, D = H·Dh hidden size, Q query tokens, S new positions, V vocabulary rows. A prompt is the prefix,
 * [L, 2, H, Q, Dh], which has the size of 2·L·Q embeddings, and then the embeddings of its text; the text begins with `[DEC]`.
 */
import { join } from 'node:path';
import type { LanguageDeclaration } from '../pack/model-declaration.ts';
import { float32Data, float32Tensor, int64Tensor, Session } from '../runtime/session.ts';
import { KvCache } from './kv-cache.ts';
import { ownCache, type LanguageModel, type Prefilled, type RowCache, type RowEmbeds } from './language-model.ts';
import { TokenEmbeddings } from './token-embeddings.ts';

/** Holds native memory: dispose of it. */
export class QFormerDecoder implements LanguageModel {
  readonly declaration: LanguageDeclaration;
  readonly #numQueryTokens: number;
  readonly #embeddings: TokenEmbeddings;
  readonly #decoder: Session;
  /** Results of every pass, to be fetched into new buffers. */
  readonly #results: Readonly<Record<string, null>>;

  private constructor(
    declaration: LanguageDeclaration,
    numQueryTokens: number,
    embeddings: TokenEmbeddings,
    decoder: Session,
    results: readonly string[],
  ) {
    this.#results = Object.fromEntries(results.map((name) => [name, null]));
    this.declaration = declaration;
    this.#numQueryTokens = numQueryTokens;
    this.#embeddings = embeddings;
    this.#decoder = decoder;
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
    threads: number,
  ): Promise<QFormerDecoder> {
    const layers = Array.from({ length: language.numHiddenLayers }, (_, n) => [`${n}.key`, `${n}.value`]).flat();
    const results = ['logits', ...layers.map((name) => `present.${name}`)];
    const embeddings = await TokenEmbeddings.load(directory);
    try {
      const decoder = await Session.open(join(directory, 'itg_decoder.onnx'), {
        threads,
        inputs: [
          'inputs_embeds',
          'position_ids',
          'logit_positions',
          'past_lengths',
          ...layers.map((name) => `past_key_values.${name}`),
        ],
        outputs: results,
      });
      return new QFormerDecoder(language, numQueryTokens, embeddings, decoder, results);
    } catch (error) {
      await embeddings.dispose();
      throw error;
    }
  }

  async embedTokens(tokenIds: readonly number[]): Promise<Float32Array> {
    return this.#embeddings.embed(tokenIds);
  }

  newCache(rows: number, maxLength: number): KvCache {
    const { numHiddenLayers, numKeyValueHeads, headDim } = this.declaration;
    return new KvCache({ rows, layers: numHiddenLayers, heads: numKeyValueHeads, maxLength, headDim });
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
    const { hiddenSize } = this.declaration;
    const own = ownCache(cache, KvCache);
    own.startRows(firstRow, rows.length);
    const texts = rows.map((row, index) => this.#placePrefix(own, firstRow + index, row));
    const counts = texts.map(({ length }) => length);
    const longest = Math.max(...counts);
    const inputsEmbeds = new Float32Array(rows.length * longest * hiddenSize); // [B, S, D]
    texts.forEach(({ embeds }, row) => inputsEmbeds.set(embeds, row * longest * hiddenSize));
    const pastLengths = rows.map(() => this.#numQueryTokens);
    const logits = await this.#forward(own, firstRow, { inputsEmbeds, pastLengths, counts });
    return { logits, lengths: counts.map((count) => this.#numQueryTokens + count) };
  }

  async step(cache: RowCache, tokenIds: readonly number[], pastLengths: readonly number[]): Promise<Float32Array> {
    const inputsEmbeds = await this.embedTokens(tokenIds); // [B, 1, D]
    const counts = tokenIds.map(() => 1);
    return this.#forward(ownCache(cache, KvCache), 0, { inputsEmbeds, pastLengths, counts });
  }

  async dispose(): Promise<void> {
    await this.#embeddings.dispose();
    await this.#decoder.dispose();
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

  /** Returns the logits after the last new position of each row, [B, V]. */
  async #forward(
    cache: KvCache,
    firstRow: number,
    input: {
      /** [B, S, D] */
      inputsEmbeds: Float32Array;
      /** Positions that each row holds already, queries included. */
      pastLengths: readonly number[];
      /** New positions of each row; the greatest is S. */
      counts: readonly number[];
    },
  ): Promise<Float32Array> {
    const { inputsEmbeds, pastLengths, counts } = input;
    const rows = counts.length;
    const newPositions = Math.max(...counts);
    const { maxPositionEmbeddings, hiddenSize } = this.declaration;
    // The queries take positions of the cache, but none of the text. Padding may reach behind the last one there is.
    const last = maxPositionEmbeddings - this.#numQueryTokens - 1;
    const positionIds = pastLengths.flatMap((past) =>
      Array.from({ length: newPositions }, (_, position) => Math.min(past - this.#numQueryTokens + position, last)),
    );
    const results = await this.#decoder.run(
      {
        inputs_embeds: float32Tensor(inputsEmbeds, [rows, newPositions, hiddenSize]),
        position_ids: int64Tensor(positionIds, [rows, newPositions]),
        logit_positions: int64Tensor(
          counts.map((count) => count - 1),
          [rows],
        ),
        past_lengths: int64Tensor(pastLengths, [rows]),
        ...cache.inputs(firstRow, rows),
      },
      this.#results,
    );
    cache.write(results, firstRow, pastLengths, counts);
    return float32Data(results, 'logits');
  }
}
