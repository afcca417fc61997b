/** What minigpt tells the person who runs it: lines on stderr, which never break a progress bar and never carry raw control characters. */
import { printable } from '../../output/printable.ts';

/** A part of the screen that must be off while something else is written. */
export interface Overlay {
  hide(): void;
}

export class Terminal {
  readonly #stderr: NodeJS.WritableStream;
  #overlay: Overlay | undefined;

  constructor(stderr: NodeJS.WritableStream) {
    this.#stderr = stderr;
    // Nobody reads our messages any more: no reason to stop, and no place left to say so.
    stderr.on('error', () => undefined);
  }

  /** Writes one line that begins with the program's name. */
  say(text: string): void {
    this.makeRoom();
    this.#stderr.write(`minigpt: ${printable(text)}\n`);
  }

  /** Writes a stack trace, line by line. */
  trace(error: unknown): void {
    this.makeRoom();
    for (let cause = error; cause instanceof Error; cause = cause.cause) {
      const lines = (cause.stack ?? cause.message).split('\n').map(printable);
      this.#stderr.write(`${cause === error ? '' : 'caused by '}${lines.join('\n')}\n`);
    }
  }

  /** Takes the progress bar off the screen until it draws itself again. */
  makeRoom(): void {
    this.#overlay?.hide();
  }

  /** Names what `makeRoom` hides; undefined when it is gone. */
  setOverlay(overlay: Overlay | undefined): void {
    this.#overlay = overlay;
  }
}
