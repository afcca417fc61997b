/**
 * Bounds the memory of what is decoded at the same time.
 *
 * A folder may hold thumbnails and panoramas; counting images would either waste the first or drown in the second.
 */

type Waiter = { bytes: number; enter: () => void };

/** Lends bytes in the order of asking. One who wants more than there is gets everything, alone. */
export class ByteBudget {
  readonly #total: number;
  #free: number;
  readonly #waiting: Waiter[] = [];

  constructor(total: number) {
    this.#total = total;
    this.#free = total;
  }

  /**
   * Waits for `bytes`, runs `work`, and gives them back.
   *
   * Aborting ends the waiting; work that has begun runs to its end.
   */
  async run<T>(bytes: number, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const granted = Math.min(bytes, this.#total);
    await this.#acquire(granted, signal);
    try {
      return await work();
    } finally {
      this.#free += granted;
      this.#admit();
    }
  }

  async #acquire(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        bytes,
        enter: () => {
          signal?.removeEventListener('abort', leave);
          resolve();
        },
      };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(signal?.reason as Error);
        // Who waited behind this one may fit now.
        this.#admit();
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#waiting.push(waiter);
      this.#admit();
    });
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next !== undefined && next.bytes <= this.#free; next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#free -= next.bytes;
      next.enter();
    }
  }
}
