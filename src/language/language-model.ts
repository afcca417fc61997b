/**
 * A language model as a loop over tokens sees it: prompts are read into rows of a cache, then every row takes one token per step. Whether a
 * prompt lies in the same cache as what is written (decoder-only) or went through an encoder of its own (T5) is known below this line only.
 *
 * B rows, T positions of a prompt, d hidden size, V vocabulary rows.
 */
import type { LanguageDeclaration } from '../pack/model-declaration.ts';

/** The prompt of one row: embeddings of its positions, [length, d]. */
export type RowEmbeds = { embeds: Float32Array; length: number };

/** What reading prompts yields. */
export type Prefilled = {
  /** Logits of the first token of each row, [B, V]. */
  logits: Float32Array;
  /** Positions that each row holds now, for `step`: those of its prompt, or the start token alone where an encoder read the prompt. */
  lengths: number[];
};

/** What a model remembers of every row of a batch. The loop owns it and moves its rows; the model alone looks inside. */
export interface RowCache {
  readonly rows: number;
  /** Positions that a row can hold. */
  readonly maxLength: number;
  /** Makes row `to` a copy of row `from`, which holds `length` positions. */
  copyRow(from: number, to: number, length: number): void;
  /** Copies the positions `start` … `end - 1` of row `from` to row `to`, which has the same prompt and holds the same before `start`. */
  copyPositions(from: number, to: number, start: number, end: number): void;
}

/** Every cache that a model is given comes from its own `newCache`. */
export interface LanguageModel {
  readonly declaration: LanguageDeclaration;

  /** Embeddings of tokens, [T, d]. */
  embedTokens(tokenIds: readonly number[]): Promise<Float32Array>;

  /** An empty cache. @param maxLength see `positionsNeeded` */
  newCache(rows: number, maxLength: number): RowCache;

  /** How long the rows of a cache must be for a prompt and an answer of these lengths; no longer than the model can hold. */
  positionsNeeded(promptLength: number, maxNewTokens: number): number;

  /** How many tokens a row with this prompt may write in a cache of this length; 0 where the prompt itself is too long. */
  room(promptLength: number, maxLength: number): number;

  /**
   * Reads whole prompts into the rows `firstRow`, `firstRow + 1`, … of the cache. A row's numbers do not depend on the other rows, and where it
   * fails the rows before stay as they are, or the next step fails.
   */
  prefill(cache: RowCache, firstRow: number, rows: readonly RowEmbeds[]): Promise<Prefilled>;

  /**
   * Reads the rest of a prompt into a row that holds its beginning, as a conversation needs it. A model that reads prompts with an encoder
   * does not have this: there everything depends on what follows as well.
   *
   * @param rest embeddings of the positions behind, at least one
   * @param pastLength positions of the row that stay as they are; what it holds behind them is overwritten
   * @returns logits after the last position, [1, V]
   */
  extend?(cache: RowCache, row: number, rest: RowEmbeds, pastLength: number): Promise<Float32Array>;

  /**
   * Reads one more token in each of the first rows of the cache, which are all that hold anything.
   *
   * @param tokenIds the token of each row
   * @param pastLengths positions each row holds already
   * @returns logits of each row, [B, V]
   */
  step(cache: RowCache, tokenIds: readonly number[], pastLengths: readonly number[]): Promise<Float32Array>;

  /** Frees the native memory. */
  dispose(): Promise<void>;
}

/**
 * A cache as the model that made it knows it.
 *
 * @throws RangeError when another model made it: a mistake of the caller.
 */
export function ownCache<Own extends RowCache>(cache: RowCache, kind: abstract new (...given: never[]) => Own): Own {
  if (!(cache instanceof kind)) throw new RangeError('a cache is only for the model that made it');
  return cache;
}
