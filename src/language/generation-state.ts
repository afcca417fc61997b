/** One row of the batch while it is being written, greedily or by sampling: what it has so far, and when it ends. */
import type { Chooser, FinishReason, RowCopy, Written } from './chooser.ts';
import { chooseGreedily, logProbability } from './greedy.ts';
import type { LogitFilter } from './logit-filters.ts';
import type { StopCheck, StopRule } from './stop-rule.ts';

export type { FinishReason } from './chooser.ts';

/** What ends an answer, and what keeps it from being written: the same for one row and for beams. */
export type RowLimits = {
  /** Tokens after which the row ends with `length`. */
  maxNewTokens: number;
  /** Each of these tokens ends the row by itself. */
  eosTokenIds: readonly number[];
  stopRules: readonly StopRule[];
  filters: readonly LogitFilter[];
  /** Whether the log-probabilities are added up. */
  score: boolean;
};

/** The next token of a row from its filtered logits, [V], which stay as they are; -1 when they cannot be used. */
export type TokenChoice = (logits: Float32Array) => number;

const NO_COPIES: readonly RowCopy[] = [];

export class GenerationState implements Chooser {
  readonly rows = 1;
  readonly copies = NO_COPIES;
  /** What the row has written, with the tokens that ended it. */
  readonly tokenIds: number[] = [];
  /** Positions of the row in the cache. */
  length: number;
  score = 0;
  readonly #limits: RowLimits;
  readonly #stops: readonly StopCheck[];
  readonly #choose: TokenChoice;

  constructor(promptLength: number, limits: RowLimits, choose: TokenChoice = chooseGreedily) {
    this.length = promptLength;
    this.#limits = limits;
    this.#stops = limits.stopRules.map((rule) => rule.start());
    this.#choose = choose;
  }

  /** The token that the next step reads. */
  get lastTokenId(): number {
    const tokenId = this.tokenIds.at(-1);
    if (tokenId === undefined) throw new RangeError('the row has no token yet: its first one comes from the prompt');
    return tokenId;
  }

  get nextTokenIds(): readonly number[] {
    return [this.lastTokenId];
  }

  get written(): Written {
    return { tokenIds: this.tokenIds, score: this.score };
  }

  /**
   * Chooses the next token from the row's logits, [V], which are changed by the filters.
   *
   * @returns why the row ends with this token, `not-a-number` when the logits cannot be used, or undefined when it goes on.
   */
  advance(logits: Float32Array): FinishReason | 'not-a-number' | undefined {
    const { filters, maxNewTokens, score } = this.#limits;
    for (const filter of filters) filter(logits, this.tokenIds);
    const tokenId = this.#choose(logits);
    if (tokenId < 0) return 'not-a-number';
    if (score) this.score += logProbability(logits, tokenId);
    this.tokenIds.push(tokenId);
    if (this.#hasStopped(tokenId)) return 'stop';
    return this.tokenIds.length >= maxNewTokens ? 'length' : undefined;
  }

  #hasStopped(tokenId: number): boolean {
    return this.#limits.eosTokenIds.includes(tokenId) || this.#stops.some((stop) => stop.add(tokenId));
  }
}
