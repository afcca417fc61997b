/**
 * The progress bar on the last line of the terminal. Other output hides it first, and then it draws itself again below.
 *
 * It is a MultiBar of cli-progress with a single bar. A SingleBar would end by moving the cursor to where it was at the start, which by
 * then is in the middle of the results.
 */
import { clearLine, cursorTo } from 'node:readline';
import type { WriteStream } from 'node:tty';
import { MultiBar } from 'cli-progress';
import { describePace, Stopwatch, type Progress, type Standing } from './progress.ts';
import type { Tally } from '../run/tally.ts';
import type { Overlay, Terminal } from './terminal.ts';

const BAR_WIDTH = 24;

export class ProgressBar implements Progress, Overlay {
  readonly #terminal: Terminal;
  readonly #stream: WriteStream;
  #stopwatch: Stopwatch | undefined;
  #bars: MultiBar | undefined;

  /** @param stream the terminal that `terminal` writes to */
  constructor(terminal: Terminal, stream: WriteStream) {
    this.#terminal = terminal;
    this.#stream = stream;
  }

  start(tally: Tally): void {
    const stopwatch = new Stopwatch(tally);
    this.#stopwatch = stopwatch;
    this.#bars = new MultiBar({
      stream: this.#stream,
      format: () => formatBar(stopwatch.standing(), this.#stream.columns),
      // Drawn even if nothing changed, because a hidden bar must come back.
      forceRedraw: true,
      clearOnComplete: true,
      // The modes of the terminal stay as they are, because a killed process could not reset them. Lines are cut to the width instead.
      linewrap: true,
      hideCursor: false,
      gracefulExit: false,
    });
    this.#bars.create(tally.total, 0);
    this.#terminal.setOverlay(this);
  }

  ready(): void {
    this.#stopwatch?.ready();
  }

  hide(): void {
    cursorTo(this.#stream, 0);
    clearLine(this.#stream, 0);
  }

  stop(): void {
    this.#bars?.stop();
    this.#bars = undefined;
    this.#terminal.setOverlay(undefined);
  }
}

/** `[======------] 120/1000  3 failed, 12.1 images/s, 1 min 13 s left`, cut to `columns`. */
export function formatBar(standing: Standing, columns: number): string {
  const { done, total } = standing;
  const filled = Math.round((BAR_WIDTH * done) / Math.max(total, 1));
  const bar = `[${'='.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}]`;
  // In the last column many terminals move the cursor to the next line. The bar could not be erased from there.
  return `${bar} ${done}/${total}  ${describePace(standing)}`.trimEnd().slice(0, Math.max(columns - 1, 0));
}
