/**
 * The main thread's end of a thread that computes: requests with numbers go in, promises come back. What is asked and answered is known to
 * those who use it; this file knows how a thread starts, fails and ends.
 */
import { SHARE_ENV, Worker } from 'node:worker_threads';
import { MinigptError } from '../../errors.ts';

/** What a thread says of itself. Classes do not cross threads, so a failure is its message, and its stack for `--debug`. */
export type ThreadMessage<Answered extends { id: number }> =
  | { type: 'ready' }
  /** The model could not be loaded. */
  | { type: 'failed'; message: string; stack: string | undefined }
  | ({ type: 'answered' } & Answered)
  | { type: 'closed' };

type Waiting<Answered> = { resolve: (answered: Answered) => void; reject: (error: Error) => void };

export class InferenceThread<Answered extends { id: number }> {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting<Answered>>();
  #nextId = 0;
  #ended: Error | undefined;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  /**
   * Starts a thread and waits until it has loaded its model.
   *
   * @throws MinigptError when the model cannot be loaded; its message is the thread's.
   */
  static async start<Answered extends { id: number }>(
    script: URL,
    workerData: unknown,
  ): Promise<InferenceThread<Answered>> {
    const worker = new Worker(script, { workerData, env: SHARE_ENV });
    const thread = new InferenceThread<Answered>(worker);
    await new Promise<void>((resolve, reject) => {
      worker.on('message', (message: ThreadMessage<Answered>) => {
        if (message.type === 'ready') resolve();
        else if (message.type === 'failed') reject(loadError(message));
        else if (message.type === 'answered') thread.#answered(message);
      });
      worker.on('error', (error) => {
        const crash = new MinigptError(`the inference thread broke down: ${asError(error).message}`, { cause: error });
        thread.#end(crash);
        reject(crash);
      });
      worker.on('exit', (code) => {
        const error = new MinigptError(
          `the inference thread ended with exit code ${code}; the memory may be too small for this model.`,
        );
        thread.#end(error);
        reject(error);
      });
    });
    return thread;
  }

  /** Requests that are not answered yet. */
  get openRequests(): number {
    return this.#waiting.size;
  }

  /**
   * Sends `content` with an id, and waits for the answer with the same id.
   *
   * @param transfer buffers that are given away instead of copied
   */
  async request(content: object, transfer: readonly ArrayBufferLike[] = []): Promise<Answered> {
    if (this.#ended !== undefined) throw this.#ended;
    const id = this.#nextId++;
    const answered = new Promise<Answered>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    this.#worker.postMessage(
      { ...content, id },
      transfer.filter((buffer) => buffer instanceof ArrayBuffer),
    );
    return answered;
  }

  /** Sends what needs no answer. */
  tell(content: object): void {
    if (this.#ended === undefined) this.#worker.postMessage(content);
  }

  /** Ends the thread after the run that is under way, and frees its memory. Open requests are rejected. */
  async close(): Promise<void> {
    if (this.#ended !== undefined) return;
    this.#end(new MinigptError('the model was closed before it answered.'));
    const exited = new Promise((resolve) => this.#worker.once('exit', resolve));
    this.#worker.postMessage({ type: 'close' });
    await exited;
  }

  #answered(answered: Answered): void {
    const waiting = this.#waiting.get(answered.id);
    this.#waiting.delete(answered.id);
    waiting?.resolve(answered);
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
  }
}

function loadError({ message, stack }: { message: string; stack: string | undefined }): MinigptError {
  const error = new MinigptError(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}

function asError(value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value));
}
