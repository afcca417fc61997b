/**
 * A decoder-only language model over a cache: the forward pass, and nothing of how tokens are chosen.
 *
 * B rows, T tokens, S new positions of the longest row, d hidden size, V vocabulary rows.
 */
import { join } from 'node:path';
import type { LanguageDeclaration } from '../pack/model-declaration.ts';
import { float32Data, float32Tensor, int32Tensor, int64Tensor, Session } from '../runtime/session.ts';
import { KvCache } from './kv-cache.ts';
import { ownCache, type LanguageModel, type Prefilled, type RowCache, type RowEmbeds } from './language-model.ts';
import { TokenEmbeddings } from './token-embeddings.ts';

/** Holds native memory: dispose of it. */
export class Decoder implements LanguageModel {
  readonly declaration: LanguageDeclaration;
  readonly #embeddings: TokenEmbeddings;
  readonly #decoder: Session;

  private constructor(declaration: LanguageDeclaration, embeddings: TokenEmbeddings, decoder: Session) {
    this.declaration = declaration;
    this.#embeddings = embeddings;
    this.#decoder = decoder;
  }

  /**
   * @param directory of the pack
   * @throws PackError when a graph is missing or damaged.
   */
  static async load(directory: string, language: LanguageDeclaration, threads: number): Promise<Decoder> {
    const layers = Array.from({ length: language.numHiddenLayers }, (_, n) => [`${n}.key`, `${n}.value`]).flat();
    const embeddings = await TokenEmbeddings.load(directory);
    try {
      const decoder = await Session.open(join(directory, 'decoder.onnx'), {
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
      return new Decoder(language, embeddings, decoder);
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

  /** Shorter rows are padded on the right; causal attention never looks there, and the next step overwrites the padding's keys. */
  async prefill(cache: RowCache, firstRow: number, rows: readonly RowEmbeds[]): Promise<Prefilled> {
    const { hiddenSize } = this.declaration;
    const longest = Math.max(...rows.map((row) => row.length));
    const inputsEmbeds = new Float32Array(rows.length * longest * hiddenSize); // [B, S, d]
    rows.forEach((row, index) => inputsEmbeds.set(row.embeds, index * longest * hiddenSize));
    const lengths = rows.map((row) => row.length);
    const logits = await this.#forward(cache, firstRow, {
      inputsEmbeds,
      newPositions: longest,
      positionIds: rows.flatMap(() => Array.from({ length: longest }, (_, position) => position)),
      logitPositions: lengths.map((length) => length - 1),
      lengths,
    });
    return { logits, lengths };
  }

  async step(cache: RowCache, tokenIds: readonly number[], pastLengths: readonly number[]): Promise<Float32Array> {
    return this.#forward(cache, 0, {
      inputsEmbeds: await this.embedTokens(tokenIds), // [B, 1, d]
      newPositions: 1,
      positionIds: pastLengths,
      logitPositions: tokenIds.map(() => 0),
      lengths: pastLengths.map((length) => length + 1),
    });
  }

  async dispose(): Promise<void> {
    await this.#embeddings.dispose();
    await this.#decoder.dispose();
  }

  async #forward(
    cache: RowCache,
    firstRow: number,
    input: {
      inputsEmbeds: Float32Array;
      newPositions: number;
      positionIds: readonly number[];
      logitPositions: readonly number[];
      /** Positions of each row after this pass. */
      lengths: readonly number[];
    },
  ): Promise<Float32Array> {
    const { lengths, newPositions } = input;
    const rows = lengths.length;
    const { past, present } = ownCache(cache, KvCache).window(firstRow, rows);
    const results = await this.#decoder.run(
      {
        inputs_embeds: float32Tensor(input.inputsEmbeds, [rows, newPositions, this.declaration.hiddenSize]),
        position_ids: int64Tensor(input.positionIds, [rows, newPositions]),
        logit_positions: int64Tensor(input.logitPositions, [rows]),
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
