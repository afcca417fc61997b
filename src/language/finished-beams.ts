/**
 * The ranking of beam search: answers that have ended, best first, by the sum of their log-probabilities over a power of their length.
 * A length penalty of 1 compares means, 0 plain sums, and a negative one favours short answers.
 */

export type FinishedBeam = {
  tokenIds: readonly number[];
  sum: number;
  /** `sum` over its length to the power of the length penalty. */
  score: number;
  /** Whether an end token or a stop sequence ended it, and not the length limit. */
  stopped: boolean;
};

export class FinishedBeams {
  readonly #most: number;
  readonly #lengthPenalty: number;
  /** Best first; of equals the later one, as the reference (`BeamHypotheses` of transformers) takes the last of its sorted list. */
  readonly #beams: FinishedBeam[] = [];

  /** @param most how many are kept */
  constructor(most: number, lengthPenalty: number) {
    this.#most = most;
    this.#lengthPenalty = lengthPenalty;
  }

  /** What a sum of log-probabilities is worth at this length, the token that ends it included. */
  rank(sum: number, length: number): number {
    return sum / length ** this.#lengthPenalty;
  }

  add(tokenIds: readonly number[], sum: number, stopped: boolean): void {
    const score = this.rank(sum, tokenIds.length);
    const worst = this.#beams.at(-1);
    if (this.#beams.length >= this.#most && worst !== undefined && score <= worst.score) return;
    const place = this.#beams.findIndex((beam) => beam.score <= score);
    this.#beams.splice(place < 0 ? this.#beams.length : place, 0, { tokenIds, sum, score, stopped });
    this.#beams.length = Math.min(this.#beams.length, this.#most);
  }

  /** Whether nothing that is still open can come among the best, if the best of the open ones ends with `score`. */
  isDecided(score: number): boolean {
    const worst = this.#beams.at(-1);
    return this.#beams.length >= this.#most && worst !== undefined && worst.score >= score;
  }

  /** Undefined where none has ended. */
  get best(): FinishedBeam | undefined {
    return this.#beams[0];
  }
}
