/**
 * The forward pass that every decoder over one cache has, whatever its prompts begin with: token embeddings, a graph that reads the cache, and
 * the new keys and values put where they belong.
 *
 * B rows, S new positions of the longest row, d hidden size, V vocabulary rows.
 */
import { join } from 'node:path';
import type { LanguageDeclaration } from '../pack/model-declaration.ts';
import type { Compute } from '../runtime/compute.ts';
import { float32Data, float32Tensor, int64Tensor, Session } from '../runtime/session.ts';
import { KvCache } from './kv-cache.ts';
import { ownCache, type RowCache, type RowEmbeds } from './language-model.ts';
import { TokenEmbeddings } from './token-embeddings.ts';

/** New positions of some rows. */
export type NewPositions = {
  /** [B, S, d], each row padded on the right, where causal attention never looks. */
  inputsEmbeds: Float32Array;
  /** Positions that each row holds already. */
  pastLengths: readonly number[];
  /** New positions of each row; the greatest is S. */
  counts: readonly number[];
};

/** Holds native memory: dispose of it. */
export class CachedForward {
  readonly #declaration: LanguageDeclaration;
  readonly #unnumbered: number;
  readonly #embeddings: TokenEmbeddings;
  readonly #decoder: Session;
  /** Results of every pass, to be fetched into new buffers. */
  readonly #results: Readonly<Record<string, null>>;

  private constructor(
    declaration: LanguageDeclaration,
    unnumbered: number,
    graphs: { embeddings: TokenEmbeddings; decoder: Session },
    results: readonly string[],
  ) {
    this.#declaration = declaration;
    this.#unnumbered = unnumbered;
    this.#embeddings = graphs.embeddings;
    this.#decoder = graphs.decoder;
    this.#results = Object.fromEntries(results.map((name) => [name, null]));
  }

  /**
   * @param directory of the pack
   * @param graph the decoder's file
   * @param unnumbered positions of the cache before the one that is number 0 to the graph
   * @throws PackError when a graph is missing or damaged.
   */
  static async load(
    directory: string,
    graph: string,
    language: LanguageDeclaration,
    unnumbered: number,
    compute: Compute,
  ): Promise<CachedForward> {
    const layers = Array.from({ length: language.numHiddenLayers }, (_, n) => [`${n}.key`, `${n}.value`]).flat();
    const past = layers.map((name) => `past_key_values.${name}`);
    const results = ['logits', ...layers.map((name) => `present.${name}`)];
    const embeddings = await TokenEmbeddings.load(directory, language);
    try {
      const decoder = await Session.open(join(directory, graph), {
        compute,
        inputs: ['inputs_embeds', 'position_ids', 'logit_positions', 'past_lengths', ...past],
        outputs: results,
        shapes: {
          inputs_embeds: ['B', 'S', language.hiddenSize],
          'past_key_values.0.key': ['B', language.numKeyValueHeads, 'C', language.headDim],
          logits: ['B', language.vocabSize],
        },
      });
      return new CachedForward(language, unnumbered, { embeddings, decoder }, results);
    } catch (error) {
      await embeddings.dispose();
      throw error;
    }
  }

  /** Embeddings of tokens, [T, d]. */
  async embedTokens(tokenIds: readonly number[]): Promise<Float32Array> {
    return this.#embeddings.embed(tokenIds);
  }

  newCache(rows: number, maxLength: number): KvCache {
    const { numHiddenLayers, numKeyValueHeads, headDim } = this.#declaration;
    return new KvCache({ rows, layers: numHiddenLayers, heads: numKeyValueHeads, maxLength, headDim });
  }

  /** Rows of different lengths as new positions behind what each row holds. */
  pad(rows: readonly RowEmbeds[], pastLengths: readonly number[]): NewPositions {
    const { hiddenSize } = this.#declaration;
    const counts = rows.map(({ length }) => length);
    const longest = Math.max(...counts);
    const inputsEmbeds = new Float32Array(rows.length * longest * hiddenSize); // [B, S, d]
    rows.forEach(({ embeds }, row) => inputsEmbeds.set(embeds, row * longest * hiddenSize));
    return { inputsEmbeds, pastLengths, counts };
  }

  /** One token more in each of the first rows, which are all that hold anything. Returns logits, [B, V]. */
  async step(cache: RowCache, tokenIds: readonly number[], pastLengths: readonly number[]): Promise<Float32Array> {
    const own = ownCache(cache, KvCache);
    const inputsEmbeds = await this.embedTokens(tokenIds); // [B, 1, d]
    own.settle(pastLengths);
    return this.read(own, 0, { inputsEmbeds, pastLengths, counts: tokenIds.map(() => 1) });
  }

  /** Reads new positions into the rows from `firstRow` on. Returns the logits after the last new position of each, [B, V]. */
  async read(
    cache: KvCache,
    firstRow: number,
    { inputsEmbeds, pastLengths, counts }: NewPositions,
  ): Promise<Float32Array> {
    const rows = counts.length;
    const newPositions = Math.max(...counts);
    const { maxPositionEmbeddings, hiddenSize } = this.#declaration;
    // Padding may reach behind the last position there is; what is computed there is not kept.
    const last = maxPositionEmbeddings - this.#unnumbered - 1;
    const positionIds = pastLengths.flatMap((past) =>
      Array.from({ length: newPositions }, (_, position) => Math.min(past - this.#unnumbered + position, last)),
    );
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
        ...(isEmpty ? cache.emptyInputs(rows) : cache.inputs(firstRow, rows)),
      },
      this.#results,
    );
    cache.write(results, firstRow, pastLengths, counts);
    return float32Data(results, 'logits');
  }

  async dispose(): Promise<void> {
    await this.#embeddings.dispose();
    await this.#decoder.dispose();
  }
}
