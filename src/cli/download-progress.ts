/** How far a download is: on the last line of a terminal, elsewhere as a line now and then, or not at all. */
import { performance } from 'node:perf_hooks';
import { clearLine, cursorTo } from 'node:readline';
import type { WriteStream } from 'node:tty';
import { printable } from '../output/printable.ts';
import type { DownloadObserver } from '../store/download/download.ts';
import { formatBytes } from './byte-size.ts';
import { formatDuration } from './duration.ts';
import type { Overlay, Terminal } from './terminal.ts';

const DRAW_MS = 100;
const LINE_MS = 10_000;

export class DownloadProgress implements DownloadObserver, Overlay {
  readonly #terminal: Terminal;
  readonly #stream: WriteStream;
  readonly #now: () => number;
  #file = '';
  #planned = 0;
  #done = 0;
  #began = 0;
  #shownAt = 0;
  #drawn = false;

  /** @param stream What `terminal` writes to. `now` is a clock in milliseconds. */
  constructor(terminal: Terminal, stream: WriteStream, now: () => number = () => performance.now()) {
    this.#terminal = terminal;
    this.#stream = stream;
    this.#now = now;
    terminal.setOverlay(this);
  }

  plan(bytes: number): void {
    this.#planned = bytes;
    this.#done = 0;
    this.#began = this.#now();
    this.#shownAt = this.#began;
  }

  start(name: string, present: number, total: number): void {
    this.#file = name;
    if (present > 0) this.note(`${name}: going on at ${formatBytes(present)} of ${formatBytes(total)}`);
  }

  advance(bytes: number): void {
    this.#done += bytes;
    const now = this.#now();
    if (now - this.#shownAt < (this.#stream.isTTY ? DRAW_MS : LINE_MS)) return;
    this.#shownAt = now;
    const text = `${describeDownload(this.#done, this.#planned, (now - this.#began) / 1000)}  ${this.#file}`;
    if (this.#stream.isTTY) this.#draw(printable(text));
    else this.#terminal.say(text);
  }

  note(text: string): void {
    this.#terminal.say(text);
  }

  hide(): void {
    if (!this.#drawn) return;
    this.#drawn = false;
    cursorTo(this.#stream, 0);
    clearLine(this.#stream, 0);
  }

  /** Takes the line off the screen for good. */
  stop(): void {
    this.hide();
    this.#terminal.setOverlay(undefined);
  }

  #draw(text: string): void {
    this.hide();
    this.#drawn = true;
    // In the last column the cursor of many terminals wraps to the next line, where it could not be erased any more.
    this.#stream.write(text.slice(0, Math.max(this.#stream.columns - 1, 0)));
  }
}

/** `1.2 GB of 15.0 GB, 40.1 MB/s, 5 min 44 s left`. */
export function describeDownload(done: number, planned: number, seconds: number): string {
  const parts = [`${formatBytes(done)} of ${formatBytes(planned)}`];
  if (done > 0 && seconds > 0) {
    const rate = done / seconds;
    parts.push(`${formatBytes(Math.round(rate))}/s`, `${formatDuration(Math.max(planned - done, 0) / rate)} left`);
  }
  return parts.join(', ');
}
