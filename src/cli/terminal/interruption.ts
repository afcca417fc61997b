/**
 * Ctrl-C and `kill`: the first signal asks the run to stop, the second ends the process at once.
 *
 * The system handles the second signal: it ends the process even while native code keeps a thread busy, for which `process.exit` would wait.
 * Shells report the same 130 or 143 for that.
 */
import { EXIT } from '../exit-codes.ts';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
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

  /** Gives signals back to the system: the next one kills. */
  release(): void {
    for (const name of SIGNALS) process.off(name, this.#onSignal);
  }
}
