/** A fixed number of places, handed out first come, first served: how many decodes, or images in the model, there are at one time. */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    if (!Number.isInteger(count) || count < 1)
      throw new RangeError(`the number of slots must be 1 or more, not ${count}`);
    this.#free = count;
  }

  /** Waits for a place. The caller gives it back by calling what it received, once. */
  async take(): Promise<() => void> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return () => this.#give();
  }

  #give(): void {
    const next = this.#waiting.shift();
    // The place passes directly to who waits, so that nobody who comes later can slip in between.
    if (next === undefined) this.#free += 1;
    else next();
  }
}
