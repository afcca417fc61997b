/** One row of the batch while it is being written: what it has so far, and when it ends. */
import { chooseGreedily, logProbability } from './greedy.ts';
import type { LogitFilter } from './logit-filters.ts';

export type RowLimits = {
  /** Tokens after which the row ends with `length`. */
  maxNewTokens: number;
  eosTokenId: number;
  filters: readonly LogitFilter[];
  /** Whether the log-probabilities are added up. */
  score: boolean;
};

export type FinishReason = 'stop' | 'length';

export class GenerationState {
  readonly tokenIds: number[] = [];
  /** Positions of the row in the cache. */
  length: number;
  score = 0;
  readonly #limits: RowLimits;

  constructor(promptLength: number, limits: RowLimits) {
    this.length = promptLength;
    this.#limits = limits;
  }

  get lastTokenId(): number {
    return this.tokenIds.at(-1) ?? this.#limits.eosTokenId;
  }

  /**
   * Chooses the next token from the row's logits, which are changed by the filters.
   *
   * @returns why the row ends with this token, `not-a-number` when the logits cannot be used, or undefined when it goes on.
   */
  advance(logits: Float32Array): FinishReason | 'not-a-number' | undefined {
    const { filters, eosTokenId, maxNewTokens, score } = this.#limits;
    for (const filter of filters) filter(logits, this.tokenIds);
    const tokenId = chooseGreedily(logits);
    if (tokenId < 0) return 'not-a-number';
    if (score) this.score += logProbability(logits, tokenId);
    this.tokenIds.push(tokenId);
    if (tokenId === eosTokenId) return 'stop';
    return this.tokenIds.length >= maxNewTokens ? 'length' : undefined;
  }
}
