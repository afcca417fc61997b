/** Messages to the person who runs minigpt: lines on stderr that do not break a progress bar and contain no raw control characters. */
import { printable } from '../../output/printable.ts';

/** A part of the screen that must be hidden while something else is written. */
export interface Overlay {
  hide(): void;
}

export class Terminal {
  readonly #stderr: NodeJS.WritableStream;
  #overlay: Overlay | undefined;

  constructor(stderr: NodeJS.WritableStream) {
    this.#stderr = stderr;
    // If nobody reads the messages, the run continues, and there is no place to report it.
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

  /** Removes the progress bar from the screen until it draws itself again. */
  makeRoom(): void {
    this.#overlay?.hide();
  }

  /** Sets what `makeRoom` hides, or nothing. */
  setOverlay(overlay: Overlay | undefined): void {
    this.#overlay = overlay;
  }
}
