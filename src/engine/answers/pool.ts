/**
 * Several inference threads behind one door, each with a copy of the model. Images go in groups to the thread that has the fewest open.
 */
import { ImageError } from '../../errors.ts';
import type { Pack } from '../../pack/model-declaration.ts';
import { fromPlainError } from '../../threads/plain-error.ts';
import { Thread } from '../../threads/thread.ts';
import type { PoolPlan } from '../load-plan.ts';
import type { GeneratedAnswer } from './follow-up.ts';
import type { AnswerRequest, PlainResult, WorkerStart } from './messages.ts';

type InferenceThread = Thread<AnswerRequest, PlainResult[]>;

/** What all threads of a pool are given. */
export type PoolStart = { pack: Pack; batchSize: number };

export class InferencePool {
  readonly #start: PoolStart;
  readonly #plan: PoolPlan;
  readonly #script: URL;
  /** Threads that have loaded their copy. */
  readonly #threads: InferenceThread[] = [];
  /** The thread that is loading its copy, if any. */
  #loading: InferenceThread | undefined;
  /** What kept a further copy from loading. */
  #failure: unknown;
  #current: InferenceThread | undefined;
  #sentToCurrent = 0;
  #closed = false;

  private constructor(start: PoolStart, plan: PoolPlan, script: URL) {
    this.#start = start;
    this.#plan = plan;
    this.#script = script;
  }

  /**
   * Starts the first thread and waits until it has loaded the model. The others start when images queue up: where decoding is what takes
   * the time, they never do.
   *
   * @param script the compiled entry of a thread
   * @throws PackError when the pack cannot be loaded.
   */
  static async start(
    start: PoolStart,
    plan: PoolPlan,
    script = new URL('./worker.js', import.meta.url),
  ): Promise<InferencePool> {
    const pool = new InferencePool(start, plan, script);
    await pool.#addThread();
    return pool;
  }

  /** Copies there will be when there is work for all of them. */
  get workers(): number {
    return this.#plan.workers;
  }

  /** Copies that are loaded. */
  get copies(): number {
    return this.#threads.length;
  }

  /**
   * Answers every prompt about one image. `pixelValues` is given away.
   *
   * @returns one result per prompt, in order
   * @throws MinigptError when a thread has ended, this one or another, or a further copy could not be loaded: the run cannot rely on the model.
   */
  async answer(request: AnswerRequest): Promise<(GeneratedAnswer | ImageError)[]> {
    this.#throwFailure();
    const { groupSize, workers } = this.#plan;
    if (this.#current === undefined || this.#sentToCurrent >= groupSize) {
      this.#current = leastBusy(this.#threads);
      this.#sentToCurrent = 0;
    }
    this.#sentToCurrent++;
    const isQueueing = this.#current.openRequests > 2 * groupSize;
    if (isQueueing && this.#threads.length < workers && this.#loading === undefined) void this.#grow();
    const results = await this.#current.request(request, [request.pixelValues.buffer]);
    return results.map((result) => ('error' in result ? fromPlainError(result.error) : result));
  }

  /** Ends all threads, also one that is still loading, and frees their memory. Open requests are rejected. */
  async close(): Promise<void> {
    this.#closed = true;
    const loading = this.#loading === undefined ? [] : [this.#loading];
    await Promise.all([...this.#threads, ...loading].map(async (thread) => thread.close()));
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
    for (const { failure } of this.#threads) if (failure !== undefined) throw failure;
  }

  async #grow(): Promise<void> {
    try {
      await this.#addThread();
    } catch (error) {
      if (!this.#closed) this.#failure = error;
    }
  }

  async #addThread(): Promise<void> {
    const { threadsPerWorker, groupSize } = this.#plan;
    const data: WorkerStart = { ...this.#start, compute: { threads: threadsPerWorker }, groupSize };
    const thread: InferenceThread = new Thread({ script: this.#script, name: 'the inference thread', data });
    this.#loading = thread;
    try {
      await thread.ready;
      this.#threads.push(thread);
    } finally {
      this.#loading = undefined;
    }
  }
}

function leastBusy(threads: readonly InferenceThread[]): InferenceThread {
  return threads.reduce((least, other) => (other.openRequests < least.openRequests ? other : least));
}
