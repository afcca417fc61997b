/**
 * The role that decides what is written: it gets the logits of the rows that one answer takes, and says how they go on. A loop over tokens
 * works with this and knows no strategy by name. `GenerationState` writes one row, greedily or by sampling; `BeamSearch` several at a time.
 */

export type FinishReason = 'stop' | 'length';

/** Row `to` of an answer goes on from the history of row `from`. The first `shared` tokens that both have written are the same. */
export type RowCopy = { from: number; to: number; shared: number };

/** An answer as it stands. */
export type Written = {
  /** With what ended it: an end token, a stop sequence or the end of a stop text. */
  tokenIds: readonly number[];
  /** Sum of the natural log-probabilities of `tokenIds`. */
  score: number;
  /** What beams are ranked by; only where there are beams. */
  beamScore?: number;
  /** Only where the answer was chosen among given ones. */
  choices?: JudgedChoices;
};

/** What the model holds of given answers. */
export type JudgedChoices = {
  /** Index of the answer whose mean log-probability per token is greatest; of equals the first. */
  chosen: number;
  /** Sum of the natural log-probabilities of each answer's tokens, its end among them. */
  logProbabilities: readonly number[];
};

export interface Chooser {
  /** Rows that the answer takes, as neighbours in the cache. */
  readonly rows: number;
  /** Positions of each of these rows in the cache. The loop counts them. */
  length: number;

  /** Positions that each row keeps before the next step, where rows do not all go on from `length`. */
  readonly keptLengths?: readonly number[];

  /**
   * Chooses the next token of each row. Filters change the logits.
   *
   * @param logits [rows, V]; of the prompt, which is the same in all rows, [1, V]
   * @returns why the answer ends here, `not-a-number` when the logits cannot be used, or undefined when it goes on with `copies` and
   * `nextTokenIds`.
   */
  advance(logits: Float32Array): FinishReason | 'not-a-number' | undefined;

  /** Rows whose history is replaced before the next step. No row is both read and replaced, so their order does not matter. */
  readonly copies: readonly RowCopy[];

  /** The token that each row reads next. */
  readonly nextTokenIds: readonly number[];

  /** The answer, once it has ended. */
  readonly written: Written;
}
