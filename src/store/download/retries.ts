/**
 * What may pass by itself is tried again: a full or overloaded server, a connection that breaks off.
 *
 * The number of attempts in a row is bounded; data that arrives begins a new row, so that a large file may come over a bad line.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { DownloadError, type DownloadFault } from '../../errors.ts';

/** Lets time pass. @throws the signal's reason when it aborts. */
export type Wait = (milliseconds: number, signal?: AbortSignal) => Promise<void>;

export const waitInRealTime: Wait = async (milliseconds, signal) => {
  try {
    await sleep(milliseconds, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
};

const ATTEMPTS = 6;
const LONGEST_PAUSE_MS = 30_000;
/** A server that wants to be left alone for longer is a reason to stop and say so. */
const LONGEST_RETRY_AFTER_MS = 600_000;
const NEW_ROW_BYTES = 1_000_000;

/** A failure that may not be there the next time. */
export class PassingFailure extends Error {
  override readonly name = 'PassingFailure';
  readonly subject: string;
  readonly fault: DownloadFault;
  /** How long the server asks to wait, or undefined where it says nothing. */
  readonly retryAfterMs: number | undefined;

  /** `message` is a clause such as "the server answered 503", without the subject. */
  constructor(
    subject: string,
    fault: DownloadFault,
    message: string,
    options: ErrorOptions & { retryAfterMs?: number | undefined } = {},
  ) {
    super(message, options);
    this.subject = subject;
    this.fault = fault;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The attempts at one file or one answer. */
export class Retries {
  readonly #wait: Wait;
  readonly #tell: (text: string) => void;
  #failed = 0;
  #bytes = 0;

  /** @param tell Is given a line for the user before each pause. */
  constructor(wait: Wait, tell: (text: string) => void) {
    this.#wait = wait;
    this.#tell = tell;
  }

  /** Counts data that arrived. */
  received(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < NEW_ROW_BYTES) return;
    this.#bytes = 0;
    this.#failed = 0;
  }

  /**
   * Runs `attempt` until it does not end in a passing failure, pausing in between.
   *
   * @throws DownloadError when the failures do not pass; the signal's reason; what else `attempt` throws.
   */
  async run<T>(attempt: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof PassingFailure)) throw error;
        await this.#pause(error, signal);
      }
    }
  }

  async #pause(failure: PassingFailure, signal: AbortSignal | undefined): Promise<void> {
    this.#failed += 1;
    const { subject, fault, message, retryAfterMs } = failure;
    if (retryAfterMs !== undefined && retryAfterMs > LONGEST_RETRY_AFTER_MS) {
      const minutes = Math.ceil(retryAfterMs / 60_000);
      throw new DownloadError(subject, fault, `${message} and asks to wait ${minutes} minutes. Try again then.`, {
        cause: failure,
      });
    }
    if (this.#failed >= ATTEMPTS) {
      throw new DownloadError(
        subject,
        fault,
        `${message}; this was attempt ${this.#failed}. Try again later. Downloaded data is kept, and the same command continues from there.`,
        { cause: failure },
      );
    }
    const pause = retryAfterMs ?? Math.min(1000 * 2 ** (this.#failed - 1), LONGEST_PAUSE_MS);
    const when = pause === 0 ? 'now' : `in ${Math.ceil(pause / 1000)} s`;
    this.#tell(`${subject}: ${message}; trying again ${when} (attempt ${this.#failed + 1} of ${ATTEMPTS})`);
    await this.#wait(pause, signal);
  }
}

/** The value of a Retry-After header in milliseconds: a number of seconds or a date. Undefined where it is neither. */
export function parseRetryAfter(value: string | null, now = Date.now()): number | undefined {
  if (value === null) return undefined;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(date - now, 0);
}
