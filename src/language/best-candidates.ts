/**
 * The best few of very many numbers: 10 of 250,000 in a step of five beams. Nearly every number is turned away by one comparison with the worst
 * that is kept, so nothing is sorted but those that come in.
 */

export class BestCandidates {
  readonly #capacity: number;
  readonly #scores: Float64Array;
  readonly #rows: Int32Array;
  readonly #tokenIds: Int32Array;
  #count = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#scores = new Float64Array(capacity);
    this.#rows = new Int32Array(capacity);
    this.#tokenIds = new Int32Array(capacity);
  }

  /** How many there are: fewer than the capacity where no more were offered. */
  get count(): number {
    return this.#count;
  }

  /** The candidate of a rank, 0 for the best. Of equals the one that was offered first is better. */
  at(rank: number): { row: number; tokenId: number; score: number } {
    if (rank >= this.#count) throw new RangeError(`there is no candidate of rank ${rank} among ${this.#count}`);
    return {
      row: this.#rows[rank] as number,
      tokenId: this.#tokenIds[rank] as number,
      score: this.#scores[rank] as number,
    };
  }

  /** Offers every number of a row, [V], with `offset` added to each. What is -infinity or NaN is no candidate. */
  add(row: number, values: Float32Array, offset: number): void {
    let bar = this.#bar - offset;
    for (let tokenId = 0; tokenId < values.length; tokenId++) {
      const value = values[tokenId] as number;
      if (value > bar) {
        this.#insert(row, tokenId, value + offset);
        bar = this.#bar - offset;
      }
    }
  }

  /** What a number has to exceed. */
  get #bar(): number {
    return this.#count < this.#capacity ? -Infinity : (this.#scores[this.#capacity - 1] as number);
  }

  #insert(row: number, tokenId: number, score: number): void {
    if (!(score > this.#bar)) return;
    let rank = Math.min(this.#count, this.#capacity - 1);
    while (rank > 0 && (this.#scores[rank - 1] as number) < score) {
      this.#scores[rank] = this.#scores[rank - 1] as number;
      this.#rows[rank] = this.#rows[rank - 1] as number;
      this.#tokenIds[rank] = this.#tokenIds[rank - 1] as number;
      rank--;
    }
    this.#scores[rank] = score;
    this.#rows[rank] = row;
    this.#tokenIds[rank] = tokenId;
    if (this.#count < this.#capacity) this.#count++;
  }
}
