/**
 * A decoder-only language model over a cache: the forward pass, and nothing of how tokens are chosen.
 *
 * B rows, T tokens, S new positions of the longest row, d hidden size, V vocabulary rows.
 */
import { join } from 'node:path';
import type { LanguageDeclaration } from '../pack/model-declaration.ts';
import { float32Data, float32Tensor, int64Tensor, Session } from '../runtime/session.ts';
import { KvCache } from './kv-cache.ts';
import { ownCache, type LanguageModel, type Prefilled, type RowCache, type RowEmbeds } from './language-model.ts';
import { TokenEmbeddings } from './token-embeddings.ts';

/** Holds native memory: dispose of it. */
export class Decoder implements LanguageModel {
  readonly declaration: LanguageDeclaration;
  readonly #embeddings: TokenEmbeddings;
  readonly #decoder: Session;
  /** Results of every pass, to be fetched into new buffers. */
  readonly #results: Readonly<Record<string, null>>;

  private constructor(
    declaration: LanguageDeclaration,
    embeddings: TokenEmbeddings,
    decoder: Session,
    results: readonly string[],
  ) {
    this.declaration = declaration;
    this.#embeddings = embeddings;
    this.#decoder = decoder;
    this.#results = Object.fromEntries(results.map((name) => [name, null]));
  }

  /**
   * @param directory of the pack
   * @throws PackError when a graph is missing or damaged.
   */
  static async load(directory: string, language: LanguageDeclaration, threads: number): Promise<Decoder> {
    const layers = Array.from({ length: language.numHiddenLayers }, (_, n) => [`${n}.key`, `${n}.value`]).flat();
    const results = ['logits', ...layers.map((name) => `present.${name}`)];
    const embeddings = await TokenEmbeddings.load(directory);
    try {
      const decoder = await Session.open(join(directory, 'decoder.onnx'), {
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
      return new Decoder(language, embeddings, decoder, results);
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

  /** Prompt and answer lie behind each other. */
  positionsNeeded(promptLength: number, maxNewTokens: number): number {
    return Math.min(promptLength + maxNewTokens, this.declaration.maxPositionEmbeddings);
  }

  /** The last token of a row is chosen without being read back, so it takes no room in the cache. */
  room(promptLength: number, maxLength: number): number {
    return promptLength < maxLength ? maxLength - promptLength + 1 : 0;
  }

  /** Shorter rows are padded on the right, where causal attention never looks; the padding's keys are not kept. */
  async prefill(cache: RowCache, firstRow: number, rows: readonly RowEmbeds[]): Promise<Prefilled> {
    const { hiddenSize } = this.declaration;
    const longest = Math.max(...rows.map((row) => row.length));
    const inputsEmbeds = new Float32Array(rows.length * longest * hiddenSize); // [B, S, d]
    rows.forEach((row, index) => inputsEmbeds.set(row.embeds, index * longest * hiddenSize));
    const lengths = rows.map((row) => row.length);
    ownCache(cache, KvCache).startRows(firstRow, rows.length);
    const pastLengths = rows.map(() => 0);
    const logits = await this.#forward(cache, firstRow, { inputsEmbeds, pastLengths, counts: lengths });
    return { logits, lengths };
  }

  async extend(cache: RowCache, row: number, rest: RowEmbeds, pastLength: number): Promise<Float32Array> {
    const { embeds, length } = rest;
    return this.#forward(cache, row, { inputsEmbeds: embeds, pastLengths: [pastLength], counts: [length] });
  }

  async step(cache: RowCache, tokenIds: readonly number[], pastLengths: readonly number[]): Promise<Float32Array> {
    const inputsEmbeds = await this.embedTokens(tokenIds); // [B, 1, d]
    return this.#forward(cache, 0, { inputsEmbeds, pastLengths, counts: tokenIds.map(() => 1) });
  }

  async dispose(): Promise<void> {
    await this.#embeddings.dispose();
    await this.#decoder.dispose();
  }

  /** Returns the logits after the last new position of each row, [B, V]. */
  async #forward(
    cache: RowCache,
    firstRow: number,
    input: {
      /** [B, S, d] */
      inputsEmbeds: Float32Array;
      /** Positions that each row holds already. */
      pastLengths: readonly number[];
      /** New positions of each row; the greatest is S. */
      counts: readonly number[];
    },
  ): Promise<Float32Array> {
    const { inputsEmbeds, pastLengths, counts } = input;
    const rows = counts.length;
    const newPositions = Math.max(...counts);
    const { maxPositionEmbeddings, hiddenSize } = this.declaration;
    // Padding may reach behind the last position there is; what is computed there is not kept.
    const positionIds = pastLengths.flatMap((past) =>
      Array.from({ length: newPositions }, (_, position) => Math.min(past + position, maxPositionEmbeddings - 1)),
    );
    const own = ownCache(cache, KvCache);
    const isEmpty = pastLengths.every((length) => length === 0);
    const results = await this.#decoder.run(
      {
        inputs_embeds: float32Tensor(inputsEmbeds, [rows, newPositions, hiddenSize]),
        position_ids: int64Tensor(positionIds, [rows, newPositions]),
        logit_positions: int64Tensor(
          counts.map((count) => count - 1),
          [rows],
        ),
        past_lengths: int64Tensor(pastLengths, [rows]),
        ...(isEmpty ? own.emptyInputs(rows) : own.inputs(firstRow, rows)),
      },
      this.#results,
    );
    own.write(results, firstRow, pastLengths, counts);
    return float32Data(results, 'logits');
  }
}
