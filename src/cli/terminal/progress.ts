/** The progress of a run: a bar if stderr is a terminal, otherwise a line from time to time, or nothing. */
import { formatDuration } from './duration.ts';
import type { Tally } from '../run/tally.ts';
import type { Terminal } from './terminal.ts';

export const PROGRESS_CHOICES = ['auto', 'bar', 'plain', 'none'] as const;
export type ProgressChoice = (typeof PROGRESS_CHOICES)[number];

export interface Progress {
  /** Starts to show `tally`, which the run keeps updating. */
  start(tally: Tally): void;
  /** The model is loaded: time counts from here. */
  ready(): void;
  /** Stops showing it. Does nothing if nothing is shown. */
  stop(): void;
}

/** The state of a run at one moment. */
export type Standing = {
  done: number;
  total: number;
  failed: number;
  /** Since the model was ready; undefined while it is loading. */
  seconds: number | undefined;
};

/** `3 failed, 12.1 images/s, 1 min 13 s left`, or as much of it as is known. */
export function describePace({ done, total, failed, seconds }: Standing): string {
  const parts = failed > 0 ? [`${failed} failed`] : [];
  if (seconds === undefined) {
    parts.push('loading the model');
  } else if (done > 0 && seconds > 0) {
    const rate = done / seconds;
    parts.push(`${rate.toFixed(1)} images/s`, `${formatDuration((total - done) / rate)} left`);
  }
  return parts.join(', ');
}

/** The clock and the count behind every way of showing progress. */
export class Stopwatch {
  readonly #tally: Tally;
  #readyAt: number | undefined;

  constructor(tally: Tally) {
    this.#tally = tally;
  }

  ready(): void {
    this.#readyAt = Date.now();
  }

  standing(): Standing {
    const { done, total, failed } = this.#tally;
    return {
      done,
      total,
      failed,
      seconds: this.#readyAt === undefined ? undefined : (Date.now() - this.#readyAt) / 1000,
    };
  }
}

const PLAIN_INTERVAL_MS = 10_000;

/** A line every ten seconds, for logs. */
export class PlainProgress implements Progress {
  readonly #terminal: Terminal;
  #stopwatch: Stopwatch | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  start(tally: Tally): void {
    const stopwatch = new Stopwatch(tally);
    this.#stopwatch = stopwatch;
    this.#timer = setInterval(() => {
      const standing = stopwatch.standing();
      const pace = describePace(standing);
      this.#terminal.say(`${standing.done} of ${standing.total} images${pace === '' ? '' : `, ${pace}`}`);
    }, PLAIN_INTERVAL_MS);
  }

  ready(): void {
    this.#stopwatch?.ready();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** Shows nothing. */
export const noProgress: Progress = { start: () => undefined, ready: () => undefined, stop: () => undefined };
