/** The main thread's end of one inference thread: requests go in, promises come back. */
import { Worker } from 'node:worker_threads';
import { ImageError, MinigptError } from '../errors.ts';
import type { GeneratedRow } from './continuous-batch.ts';
import type { AnswerRequest, FromWorker, ToWorker, WorkerStart } from './inference-messages.ts';

type Waiting = { resolve: (results: (GeneratedRow | ImageError)[]) => void; reject: (error: Error) => void };

export class InferenceClient {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  #ended: Error | undefined;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  /**
   * Starts the thread and waits until the model is loaded.
   *
   * @throws PackError when the pack cannot be loaded.
   */
  static async start(start: WorkerStart): Promise<InferenceClient> {
    const worker = new Worker(new URL('./inference-worker.js', import.meta.url), { workerData: start });
    const client = new InferenceClient(worker);
    await new Promise<void>((resolve, reject) => {
      worker.on('message', (message: FromWorker) => {
        if (message.type === 'ready') resolve();
        else if (message.type === 'failed') reject(loadError(message));
        else if (message.type === 'answered') client.#answered(message);
      });
      worker.on('error', (error) => {
        const crash = new MinigptError(`the inference thread broke down: ${asError(error).message}`, { cause: error });
        client.#end(crash);
        reject(crash);
      });
      worker.on('exit', (code) => {
        const error = new MinigptError(
          `the inference thread ended with exit code ${code}; the memory may be too small for this model.`,
        );
        client.#end(error);
        reject(error);
      });
    });
    return client;
  }

  /** Images whose answers are still awaited. */
  get openRequests(): number {
    return this.#waiting.size;
  }

  /** Answers every prompt about one image. `pixelValues` is given away. */
  async answer(request: Omit<AnswerRequest, 'type' | 'id'>): Promise<(GeneratedRow | ImageError)[]> {
    if (this.#ended !== undefined) throw this.#ended;
    const id = this.#nextId++;
    const answered = new Promise<(GeneratedRow | ImageError)[]>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    const message: ToWorker = { type: 'answer', id, ...request };
    const { buffer } = request.pixelValues;
    this.#worker.postMessage(message, buffer instanceof ArrayBuffer ? [buffer] : []);
    return answered;
  }

  /** Ends the thread after the run that is under way, and frees its memory. Open requests are rejected. */
  async close(): Promise<void> {
    if (this.#ended !== undefined) return;
    this.#end(new MinigptError('the model was closed before it answered.'));
    const exited = new Promise((resolve) => this.#worker.once('exit', resolve));
    this.#worker.postMessage({ type: 'close' } satisfies ToWorker);
    await exited;
  }

  #answered({ id, results }: Extract<FromWorker, { type: 'answered' }>): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.resolve(
      results.map((result) => ('error' in result ? new ImageError(result.error.code, result.error.message) : result)),
    );
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
  }
}

/** Classes do not cross threads: the message does, and the stack of the thread for `--debug`. */
function loadError({ message, stack }: { message: string; stack: string | undefined }): MinigptError {
  const error = new MinigptError(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}

function asError(value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value));
}
