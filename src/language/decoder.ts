/** A decoder-only language model over a cache: the forward pass, and nothing of how tokens are chosen. */
import type { LanguageDeclaration } from '../pack/model-declaration.ts';
import type { Compute } from '../runtime/compute.ts';
import { CachedForward } from './cached-forward.ts';
import { KvCache } from './kv-cache.ts';
import { ownCache, type LanguageModel, type Prefilled, type RowCache, type RowEmbeds } from './language-model.ts';

/** Holds native memory: dispose of it. */
export class Decoder implements LanguageModel {
  readonly declaration: LanguageDeclaration;
  readonly #forward: CachedForward;

  private constructor(declaration: LanguageDeclaration, forward: CachedForward) {
    this.declaration = declaration;
    this.#forward = forward;
  }

  /**
   * @param directory of the pack
   * @throws PackError when a graph is missing or damaged.
   */
  static async load(directory: string, language: LanguageDeclaration, compute: Compute): Promise<Decoder> {
    return new Decoder(language, await CachedForward.load(directory, 'decoder.onnx', language, 0, compute));
  }

  async embedTokens(tokenIds: readonly number[]): Promise<Float32Array> {
    return this.#forward.embedTokens(tokenIds);
  }

  newCache(rows: number, maxLength: number): KvCache {
    return this.#forward.newCache(rows, maxLength);
  }

  /** Prompt and answer lie behind each other. */
  positionsNeeded(promptLength: number, maxNewTokens: number): number {
    return Math.min(promptLength + maxNewTokens, this.declaration.maxPositionEmbeddings);
  }

  /** The last token of a row is chosen without being read back, so it takes no room in the cache. */
  room(promptLength: number, maxLength: number): number {
    return promptLength < maxLength ? maxLength - promptLength + 1 : 0;
  }

  async prefill(cache: RowCache, firstRow: number, rows: readonly RowEmbeds[]): Promise<Prefilled> {
    const own = ownCache(cache, KvCache);
    own.startRows(firstRow, rows.length);
    const positions = this.#forward.pad(
      rows,
      rows.map(() => 0),
    );
    return { logits: await this.#forward.read(own, firstRow, positions), lengths: [...positions.counts] };
  }

  async extend(cache: RowCache, row: number, rest: RowEmbeds, pastLength: number): Promise<Float32Array> {
    return this.#forward.read(ownCache(cache, KvCache), row, this.#forward.pad([rest], [pastLength]));
  }

  async step(cache: RowCache, tokenIds: readonly number[], pastLengths: readonly number[]): Promise<Float32Array> {
    return this.#forward.step(cache, tokenIds, pastLengths);
  }

  async dispose(): Promise<void> {
    await this.#forward.dispose();
  }
}
