/** One process that decodes apart, as the program sees it: it takes an image at a time, and can be ended whatever it does. */
import { fork, type ChildProcess } from 'node:child_process';
import { ImageError } from '../../errors.ts';
import { formatCount } from '../format-count.ts';
import type { DecodedImage } from '../rgb-image.ts';
import { ENDED_FOR, READY, type ApartAnswer, type ApartRequest } from './messages.ts';

/** A process that waits instead of computing is ended after so many times the computing time that it may take, and the seconds on top. */
const PATIENCE = 5;
const PATIENCE_SECONDS = 10;
/** Of what decoders write to stderr, kept for `--debug`. */
const STDERR_CHARACTERS = 2000;

/** Processes that live. Those of a program that ends end with it. */
const living = new Set<ChildProcess>();
let endsWithProgram = false;

export class DecoderProcess {
  readonly #child: ChildProcess;
  #stderr = '';
  #waitedTooLong = false;
  #isReady = false;

  /** Memory of the process after its last image, in bytes. */
  rss = 0;

  /** @param entry the compiled script of the process */
  constructor(entry: URL) {
    this.#child = fork(entry, {
      serialization: 'advanced',
      // What the libraries write is of no use to the user, and would stand in the middle of the progress bar.
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: [],
    });
    living.add(this.#child);
    if (!endsWithProgram) process.on('exit', endAll);
    endsWithProgram = true;
    this.#child.once('exit', () => living.delete(this.#child));
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_CHARACTERS);
    });
    this.#letGo();
  }

  get isAlive(): boolean {
    return living.has(this.#child);
  }

  /** Ends the process at once. */
  end(): void {
    this.#child.kill('SIGKILL');
    living.delete(this.#child);
  }

  /** Decodes. After an error that is not the decoder's the process is at its end. @throws ImageError; the signal's reason */
  async decode(request: ApartRequest, signal: AbortSignal | undefined): Promise<DecodedImage> {
    signal?.throwIfAborted();
    this.#hold();
    const patience = setTimeout(
      () => {
        this.#waitedTooLong = true;
        this.end();
      },
      (request.limits.seconds * PATIENCE + PATIENCE_SECONDS) * 1000,
    );
    const onAbort = (): void => this.end();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const answer = await this.#ask(request);
      signal?.throwIfAborted();
      if (answer === undefined) throw this.#ended(request);
      return this.#outcome(answer);
    } finally {
      clearTimeout(patience);
      signal?.removeEventListener('abort', onAbort);
      if (this.isAlive) this.#letGo();
    }
  }

  /** The answer, or undefined where the process ended without one. */
  async #ask(request: ApartRequest): Promise<ApartAnswer | undefined> {
    const child = this.#child;
    return new Promise((resolve) => {
      const settle = (answer: ApartAnswer | undefined): void => {
        child.off('message', onMessage).off('close', onEnd).off('error', onEnd);
        resolve(answer);
      };
      const onMessage = (message: unknown): void => {
        if (message === READY) this.#isReady = true;
        else settle(message as ApartAnswer);
      };
      const onEnd = (): void => settle(undefined);
      // The process is closed when its stderr is read to the end as well.
      child.on('message', onMessage).on('close', onEnd).on('error', onEnd);
      child.send(request, (error) => {
        if (error !== null) this.end();
      });
    });
  }

  #outcome(answer: ApartAnswer): DecodedImage {
    this.rss = answer.rss;
    if ('image' in answer) return answer.image;
    const { code, message, stack } = answer.error;
    const cause = new Error(message);
    if (stack !== undefined) cause.stack = stack;
    throw new ImageError(code, message, { cause });
  }

  /** Why the process is gone, in words about the image. */
  #ended({ kind, limits }: ApartRequest): ImageError {
    living.delete(this.#child);
    const cause = new Error(`the decoding process ended: ${this.#stderr}`);
    const tookTime = this.#waitedTooLong || this.#stderr.includes(ENDED_FOR.time);
    // The system ends what takes too much memory without a word.
    if (this.#stderr.includes(ENDED_FOR.memory) || (!tookTime && this.#child.signalCode === 'SIGKILL')) {
      const megabytes = formatCount(Math.round(limits.memory / 1e6));
      const message = `decoding the ${kind} needs more than ${megabytes} MB of memory, so it was stopped. Make the image smaller, or convert it to PNG.`;
      return new ImageError('image-too-large', message, { cause });
    }
    if (tookTime) return tooSlow(kind, limits.seconds, cause);
    if (!this.#isReady) {
      const [reason = 'no reason given'] = /^\w*Error: .*$/m.exec(this.#stderr) ?? [];
      return new ImageError('internal', `the process that decodes the ${kind} could not be started (${reason}).`, {
        cause,
      });
    }
    const message = `the ${kind} broke its decoder; the file is probably damaged. Try to open it with another program and save it again.`;
    return new ImageError('unreadable-image', message, { cause });
  }

  /** While it decodes, the program waits for it. */
  #hold(): void {
    this.#child.ref();
    this.#child.channel?.ref();
  }

  /** An idle process does not keep the program from ending. */
  #letGo(): void {
    this.#child.unref();
    this.#child.channel?.unref();
    // A pipe of a child is a socket, which may be let go of as well.
    const stderr = this.#child.stderr as { unref?: () => void } | null;
    stderr?.unref?.();
  }
}

/** An image that takes more time than it may. */
export function tooSlow(kind: string, seconds: number, cause?: unknown): ImageError {
  const limit = `${formatCount(seconds)} ${seconds === 1 ? 'second' : 'seconds'}`;
  const message = `decoding the ${kind} takes more than ${limit}, so it was stopped. If you trust the file, give it more time with --decode-timeout.`;
  return new ImageError('unreadable-image', message, { cause });
}

function endAll(): void {
  for (const child of living) child.kill('SIGKILL');
}
