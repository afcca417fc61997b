/** Lines that arrive at any time, to be taken one by one. */
export class LineQueue {
  readonly #lines: string[] = [];
  #ended = false;
  #waiting: ((line: string | undefined) => void) | undefined;

  get hasEnded(): boolean {
    return this.#ended;
  }

  push(line: string): void {
    this.#lines.push(line);
    this.#serve();
  }

  /** No more lines will come. Those that wait can still be taken. */
  end(): void {
    this.#ended = true;
    this.#serve();
  }

  /** Drops the lines that wait. */
  clear(): void {
    this.#lines.length = 0;
  }

  /** The next line, as soon as there is one; undefined at the end. */
  async next(): Promise<string | undefined> {
    return new Promise((resolve) => {
      this.#waiting = resolve;
      this.#serve();
    });
  }

  #serve(): void {
    if (this.#waiting === undefined || (this.#lines.length === 0 && !this.#ended)) return;
    const resolve = this.#waiting;
    this.#waiting = undefined;
    resolve(this.#lines.shift());
  }
}
