/** Progress in bytes: on the last line of a terminal, elsewhere as a line from time to time. The caller writes the text of the line. */
import { performance } from 'node:perf_hooks';
import { clearLine, cursorTo } from 'node:readline';
import type { WriteStream } from 'node:tty';
import { printable } from '../../output/printable.ts';
import type { Overlay, Terminal } from './terminal.ts';

const DRAW_MS = 100;
const LINE_MS = 10_000;

/** Makes the text of a line from the bytes done, the bytes planned, and the seconds since they were planned. */
export type Describe = (done: number, planned: number, seconds: number) => string;

export class ByteProgress implements Overlay {
  readonly #terminal: Terminal;
  readonly #stream: WriteStream;
  readonly #describe: Describe;
  readonly #now: () => number;
  #planned = 0;
  #done = 0;
  #began = 0;
  #shownAt = 0;
  #drawn = false;

  /** @param stream the stream that `terminal` writes to. `now` is a clock in milliseconds. */
  constructor(
    terminal: Terminal,
    stream: WriteStream,
    describe: Describe,
    now: () => number = () => performance.now(),
  ) {
    this.#terminal = terminal;
    this.#stream = stream;
    this.#describe = describe;
    this.#now = now;
    terminal.setOverlay(this);
  }

  plan(bytes: number): void {
    this.#planned = bytes;
    this.#done = 0;
    this.#began = this.#now();
    this.#shownAt = this.#began;
  }

  advance(bytes: number): void {
    this.#done += bytes;
    const now = this.#now();
    if (now - this.#shownAt < (this.#stream.isTTY ? DRAW_MS : LINE_MS)) return;
    this.#shownAt = now;
    const text = this.#describe(this.#done, this.#planned, (now - this.#began) / 1000);
    if (this.#stream.isTTY) this.#draw(printable(text));
    else this.#terminal.say(text);
  }

  hide(): void {
    if (!this.#drawn) return;
    this.#drawn = false;
    cursorTo(this.#stream, 0);
    clearLine(this.#stream, 0);
  }

  /** Removes the line from the screen at the end. */
  stop(): void {
    this.hide();
    this.#terminal.setOverlay(undefined);
  }

  #draw(text: string): void {
    this.hide();
    this.#drawn = true;
    // In the last column many terminals move the cursor to the next line. The line could not be erased from there.
    this.#stream.write(text.slice(0, Math.max(this.#stream.columns - 1, 0)));
  }
}
