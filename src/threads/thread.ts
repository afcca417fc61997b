/**
 * A thread as its owner sees it: requests go in, and each is answered or refused exactly once, whatever becomes of the thread. What is asked and
 * answered is known to those who use it; the other end is `serve.ts`.
 */
import { SHARE_ENV, Worker } from 'node:worker_threads';
import { MinigptError } from '../errors.ts';
import type { FromThread, ToThread } from './messages.ts';
import { nativeWork } from './native-work.ts';
import { fromPlainError } from './plain-error.ts';

export type ThreadStart = {
  /** The compiled entry, which calls `serve`. */
  script: URL;
  /** As messages call the thread: `the inference thread`. */
  name: string;
  /** What the entry is given, as plain data. */
  data?: unknown;
};

type Waiting<Answer> = { resolve: (answer: Answer) => void; reject: (error: Error) => void };

/** Close it, or it keeps the process alive. */
export class Thread<Request, Answer, Notice = never> {
  /** Rejected with what kept the thread from loading what it is for. Requests may be sent before. */
  readonly ready: Promise<void>;
  readonly #name: string;
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  readonly #waiting = new Map<number, Waiting<Answer>>();
  #nextId = 0;
  /** Why nothing is answered any more. */
  #ended: Error | undefined;
  #failure: Error | undefined;
  #rejectReady: (error: Error) => void = () => undefined;

  constructor({ script, name, data }: ThreadStart) {
    this.#name = name;
    // A copy of the environment would keep from native code what a thread sets in it.
    this.#worker = new Worker(script, { workerData: data, env: SHARE_ENV });
    this.ready = new Promise((resolve, reject) => {
      this.#rejectReady = reject;
      this.#worker.on('message', (message: FromThread<Answer>) => {
        if (message.type === 'ready') resolve();
        else this.#hear(message);
      });
    });
    // Who does not wait for it hears of the failure with the next request.
    this.ready.catch(() => undefined);
    this.#worker.on('error', (error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      this.#fail(new MinigptError(`${name} broke down: ${reason}`, { cause: error }));
    });
    // Which request it answers is not known, so all are given up.
    this.#worker.on('messageerror', (error: unknown) => {
      this.#fail(new MinigptError(`${name} sent what cannot be read: ${String(error)}`, { cause: error }));
      void this.#worker.terminate();
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        this.#fail(new MinigptError(`${name} ended with exit code ${code}. Is there enough memory?`));
        resolve();
      });
    });
    void nativeWork(this.#exited);
  }

  /** Requests that are not answered yet. */
  get openRequests(): number {
    return this.#waiting.size;
  }

  /** Why the thread ended by itself; undefined while it lives, and where it was closed. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /**
   * Sends a request and waits for its answer.
   *
   * @param transfer buffers that are given away instead of copied
   * @throws what the thread refuses the request with; MinigptError when the thread ends before it answers.
   */
  async request(request: Request, transfer: readonly ArrayBufferLike[] = []): Promise<Answer> {
    if (this.#ended !== undefined) throw this.#ended;
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#post(
        { type: 'request', id, request },
        transfer.filter((buffer) => buffer instanceof ArrayBuffer),
      );
      // Only now: what could not be sent has thrown, and nobody would answer it.
      this.#waiting.set(id, { resolve, reject });
    });
  }

  /** Sends what needs no answer. */
  tell(notice: Notice): void {
    if (this.#ended === undefined) this.#post({ type: 'notice', notice });
  }

  /** Ends the thread after what it is at, and waits until it has freed its memory. Open requests are rejected. */
  async close(): Promise<void> {
    if (this.#end(this.#closedEarly())) this.#post({ type: 'close' });
    await this.#exited;
  }

  /** Ends the thread wherever its JavaScript is; native code runs to its end. Open requests are rejected. */
  async terminate(): Promise<void> {
    this.#end(this.#closedEarly());
    await this.#worker.terminate();
  }

  #post(message: ToThread<Request, Notice>, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  #hear(message: Exclude<FromThread<Answer>, { type: 'ready' }>): void {
    if (message.type === 'failed') {
      this.#fail(fromPlainError(message.error));
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.type === 'answered') waiting?.resolve(message.answer);
    else waiting?.reject(fromPlainError(message.error));
  }

  #closedEarly(): MinigptError {
    return new MinigptError(`${this.#name} was closed before it answered.`);
  }

  #fail(error: Error): void {
    if (this.#end(error)) this.#failure = error;
  }

  /** Returns whether the thread had not ended before. */
  #end(error: Error): boolean {
    if (this.#ended !== undefined) return false;
    this.#ended = error;
    this.#rejectReady(error);
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    return true;
  }
}
