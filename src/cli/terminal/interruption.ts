/**
 * Ctrl-C and `kill`: the first signal asks the run to stop, the second ends the process at once.
 *
 * The system handles the second signal: it ends the process even while native code keeps a thread busy, for which `process.exit` would wait.
 * Shells report the same 130 or 143 for that.
 */
import { EXIT } from '../exit-codes.ts';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
/** Work that cleans up after itself has so long for it. */
const CLEAN_UP_MS = 2000;
/** npm and npx pass a Ctrl-C on to a process that has already received it, so one key press may arrive twice. */
const SAME_PRESS_MS = 300;

type StopSignal = (typeof SIGNALS)[number];

/** The reason of an abort that the user asked for. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly exitCode: number;
  /** What happened, for the last line. */
  readonly word: 'interrupted' | 'terminated';

  constructor(by: StopSignal) {
    super(`stopped by ${by}`);
    this.word = by === 'SIGINT' ? 'interrupted' : 'terminated';
    this.exitCode = EXIT[this.word];
  }
}

export class Interruption {
  readonly #controller = new AbortController();
  readonly #onSignal = (by: StopSignal): void => {
    this.#controller.abort(new Interrupted(by));
    setTimeout(() => this.release(), SAME_PRESS_MS).unref();
  };

  /** Begins to listen. */
  constructor() {
    for (const name of SIGNALS) process.on(name, this.#onSignal);
  }

  /** Aborted with an `Interrupted` at the first signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Why the run was stopped; undefined if the user did not stop it. */
  get interrupted(): Interrupted | undefined {
    const reason: unknown = this.#controller.signal.reason;
    return reason instanceof Interrupted ? reason : undefined;
  }

  /**
   * What `work` gives, which listens to `signal`. Once that is aborted, it has a moment to clean up and end; where it is stuck, it is left behind.
   *
   * @throws what `work` throws; the `Interrupted` where it is left behind.
   */
  async orLeave<Value>(work: Promise<Value>): Promise<Value> {
    const { signal } = this.#controller;
    let timer: NodeJS.Timeout | undefined;
    return new Promise<Value>((resolve, reject) => {
      const onAbort = (): void => {
        timer = setTimeout(() => reject(signal.reason as Error), CLEAN_UP_MS);
      };
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
      void work.then(resolve, reject).finally(() => {
        signal.removeEventListener('abort', onAbort);
        clearTimeout(timer);
      });
    });
  }

  /** Gives signals back to the system: the next one kills. */
  release(): void {
    for (const name of SIGNALS) process.off(name, this.#onSignal);
  }
}
