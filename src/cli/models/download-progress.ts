/** The progress of a download: on the last line of a terminal, elsewhere as a line from time to time. */
import type { WriteStream } from 'node:tty';
import type { DownloadObserver } from '../../store/download/download.ts';
import { ByteProgress } from '../terminal/byte-progress.ts';
import { formatBytes } from '../terminal/byte-size.ts';
import { formatDuration } from '../terminal/duration.ts';
import type { Terminal } from '../terminal/terminal.ts';

export class DownloadProgress implements DownloadObserver {
  readonly #terminal: Terminal;
  readonly #bytes: ByteProgress;
  #file = '';

  /** @param stream the stream that `terminal` writes to. `now` is a clock in milliseconds. */
  constructor(terminal: Terminal, stream: WriteStream, now?: () => number) {
    this.#terminal = terminal;
    const describe = (...standing: Parameters<typeof describeDownload>): string =>
      `${describeDownload(...standing)}  ${this.#file}`;
    this.#bytes = new ByteProgress(terminal, stream, describe, now);
  }

  plan(bytes: number): void {
    this.#bytes.plan(bytes);
  }

  start(name: string, present: number, total: number): void {
    this.#file = name;
    if (present > 0) this.note(`${name}: continuing at ${formatBytes(present)} of ${formatBytes(total)}`);
  }

  advance(bytes: number): void {
    this.#bytes.advance(bytes);
  }

  note(text: string): void {
    this.#terminal.say(text);
  }

  /** Removes the line from the screen at the end. */
  stop(): void {
    this.#bytes.stop();
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
