/**
 * A decoder-only language model over a cache: the forward pass, and nothing of how tokens are chosen.
 *
 * B rows, T tokens, S new positions of the longest row, d hidden size, V vocabulary rows.
 */
import { join } from 'node:path';
import type { LanguageDeclaration, Pack } from '../pack/model-declaration.ts';
import { float32Data, float32Tensor, int32Tensor, int64Tensor, Session } from '../runtime/session.ts';
import type { KvCache } from './kv-cache.ts';

/** The input of one row: embeddings of its new positions, [length, d]. */
export type RowEmbeds = { embeds: Float32Array; length: number };

export class Decoder {
  readonly declaration: LanguageDeclaration;
  readonly #embedTokens: Session;
  readonly #decoder: Session;

  private constructor(declaration: LanguageDeclaration, embedTokens: Session, decoder: Session) {
    this.declaration = declaration;
    this.#embedTokens = embedTokens;
    this.#decoder = decoder;
  }

  static async load(pack: Pack, threads: number): Promise<Decoder> {
    const { language } = pack.declaration;
    const layers = Array.from({ length: language.numHiddenLayers }, (_, n) => [`${n}.key`, `${n}.value`]).flat();
    const embedTokens = await Session.open(join(pack.directory, 'embed_tokens.onnx'), {
      threads: 1,
      inputs: ['input_ids'],
      outputs: ['inputs_embeds'],
    });
    try {
      const decoder = await Session.open(join(pack.directory, 'decoder.onnx'), {
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
      return new Decoder(language, embedTokens, decoder);
    } catch (error) {
      await embedTokens.dispose();
      throw error;
    }
  }

  /** Token embeddings, [T, d]. */
  async embedTokens(tokenIds: readonly number[]): Promise<Float32Array> {
    const results = await this.#embedTokens.run(
      { input_ids: int64Tensor(tokenIds, [1, tokenIds.length]) },
      { inputs_embeds: null },
    );
    return float32Data(results, 'inputs_embeds');
  }

  /**
   * Reads whole prompts into the rows `firstRow`, `firstRow + 1`, … of the cache.
   * Shorter rows are padded on the right; causal attention never looks there, and the next step overwrites the padding's keys.
   *
   * @returns logits after the last position of each row, [B, V]
   */
  async prefill(cache: KvCache, firstRow: number, rows: readonly RowEmbeds[]): Promise<Float32Array> {
    const { hiddenSize } = this.declaration;
    const longest = Math.max(...rows.map((row) => row.length));
    const inputsEmbeds = new Float32Array(rows.length * longest * hiddenSize); // [B, S, d]
    rows.forEach((row, index) => inputsEmbeds.set(row.embeds, index * longest * hiddenSize));
    const positions = rows.flatMap(() => Array.from({ length: longest }, (_, position) => position));
    return this.#forward(cache, firstRow, {
      inputsEmbeds,
      newPositions: longest,
      positionIds: positions,
      logitPositions: rows.map((row) => row.length - 1),
      lengths: rows.map((row) => row.length),
    });
  }

  /**
   * Reads one more token in each of the first rows of the cache.
   *
   * @param tokenIds the token of each row
   * @param pastLengths positions each row holds already
   * @returns logits of each row, [B, V]
   */
  async step(cache: KvCache, tokenIds: readonly number[], pastLengths: readonly number[]): Promise<Float32Array> {
    return this.#forward(cache, 0, {
      inputsEmbeds: await this.embedTokens(tokenIds), // [B, 1, d]
      newPositions: 1,
      positionIds: pastLengths,
      logitPositions: tokenIds.map(() => 0),
      lengths: pastLengths.map((length) => length + 1),
    });
  }

  async dispose(): Promise<void> {
    await this.#embedTokens.dispose();
    await this.#decoder.dispose();
  }

  async #forward(
    cache: KvCache,
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
    const { past, present } = cache.window(firstRow, rows);
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
