/**
 * A Q-Former that writes captions by itself (ITG, spec 2.2e): its queries have looked at the image already, and the text sees their keys and
 * values as a prefix. What stands for the image in a prompt is therefore not embeddings but these keys and values.
 *
 * B rows, L layers, H heads of size Dh, D = H·Dh hidden size, Q query tokens, S new positions, V vocabulary rows. A prompt is the prefix,
 * [L, 2, H, Q, Dh], which has the size of 2·L·Q embeddings, and then the embeddings of its text; the text begins with `[DEC]`.
 */
import { join } from 'node:path';
import type { LanguageDeclaration } from '../pack/model-declaration.ts';
import { float32Data, float32Tensor, int32Tensor, int64Tensor, Session } from '../runtime/session.ts';
import { KvCache } from './kv-cache.ts';
import type { LanguageModel, Prefilled, RowEmbeds } from './language-model.ts';
import { TokenEmbeddings } from './token-embeddings.ts';

/** Holds native memory: dispose of it. */
export class QFormerDecoder implements LanguageModel {
  readonly declaration: LanguageDeclaration;
  readonly #numQueryTokens: number;
  readonly #embeddings: TokenEmbeddings;
  readonly #decoder: Session;

  private constructor(
    declaration: LanguageDeclaration,
    numQueryTokens: number,
    embeddings: TokenEmbeddings,
    decoder: Session,
  ) {
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
    const embeddings = await TokenEmbeddings.load(directory);
    try {
      const decoder = await Session.open(join(directory, 'itg_decoder.onnx'), {
        threads,
        inputs: [
          'inputs_embeds',
          'position_ids',
          'logit_positions',
          'seqlens_k',
          'total_sequence_length',
          ...layers.map((name) => `past_key_values.${name}`),
        ],
        outputs: ['logits', ...layers.map((name) => `present.${name}`)],
      });
      return new QFormerDecoder(language, numQueryTokens, embeddings, decoder);
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
  async prefill(cache: KvCache, firstRow: number, rows: readonly RowEmbeds[]): Promise<Prefilled> {
    const texts = rows.map((row, index) => this.#placePrefix(cache, firstRow + index, row));
    const lengths = texts.map(({ length }) => this.#numQueryTokens + length);
    // Behind a past, ONNX Runtime reads several new positions of one row only.
    const runs = texts.every(({ length }) => length === 1) ? [texts] : texts.map((text) => [text]);
    const logits: Float32Array[] = [];
    let row = 0;
    for (const run of runs) {
      const pastLengths = run.map(() => this.#numQueryTokens);
      logits.push(await this.#forward(cache, firstRow + row, run, pastLengths));
      row += run.length;
    }
    return { logits: logits.length === 1 ? (logits[0] ?? new Float32Array()) : concatenate(logits), lengths };
  }

  async step(cache: KvCache, tokenIds: readonly number[], pastLengths: readonly number[]): Promise<Float32Array> {
    const { hiddenSize } = this.declaration;
    const embeds = await this.embedTokens(tokenIds); // [B, D]
    const texts = tokenIds.map((_, row) => ({
      embeds: embeds.subarray(row * hiddenSize, (row + 1) * hiddenSize),
      length: 1,
    }));
    return this.#forward(cache, 0, texts, pastLengths);
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
    const { past } = cache.window(row, 1);
    const headLength = this.#numQueryTokens * headDim;
    let start = 0;
    for (let layer = 0; layer < numHiddenLayers; layer++) {
      for (const part of ['key', 'value']) {
        const target = float32Data(past, `past_key_values.${layer}.${part}`); // [1, H, M, Dh]
        for (let head = 0; head < numKeyValueHeads; head++, start += headLength) {
          target.set(embeds.subarray(start, start + headLength), head * cache.shape.maxLength * headDim);
        }
      }
    }
    return { embeds: embeds.subarray(this.#prefixLength * hiddenSize), length: textLength };
  }

  /**
   * Reads the same number of new positions in each row.
   *
   * @param texts embeddings of the new positions
   * @param pastLengths positions each row holds already, queries included
   * @returns logits after the last position of each row, [B, V]
   */
  async #forward(
    cache: KvCache,
    firstRow: number,
    texts: readonly RowEmbeds[],
    pastLengths: readonly number[],
  ): Promise<Float32Array> {
    const rows = texts.length;
    const newPositions = texts[0]?.length ?? 0; // S
    const lengths = pastLengths.map((length) => length + newPositions);
    // The queries take positions of the cache, but none of the text.
    const positionIds = pastLengths.flatMap((past) =>
      Array.from({ length: newPositions }, (_, position) => past - this.#numQueryTokens + position),
    );
    const { past, present } = cache.window(firstRow, rows);
    const results = await this.#decoder.run(
      {
        inputs_embeds: float32Tensor(concatenate(texts.map(({ embeds }) => embeds)), [
          rows,
          newPositions,
          this.declaration.hiddenSize,
        ]),
        position_ids: int64Tensor(positionIds, [rows, newPositions]),
        logit_positions: int64Tensor(
          texts.map(() => newPositions - 1),
          [rows],
        ),
        seqlens_k: int32Tensor(
          lengths.map((length) => length - 1),
          [rows],
        ),
        total_sequence_length: int32Tensor([Math.max(...lengths)], [1]),
        ...past,
      },
      { logits: null, ...present },
    );
    return float32Data(results, 'logits');
  }
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let filled = 0;
  for (const part of parts) {
    joined.set(part, filled);
    filled += part.length;
  }
  return joined;
}
