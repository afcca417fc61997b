/**
 * Several inference threads behind one door. Images go in groups to the thread that has the fewest open.
 *
 * A small model is faster as one copy per core, each computing alone, than as one copy whose every operator is shared by the cores: its
 * operators last microseconds, and cores that wait for each other after each of them idle a third of the time (measured with nano on two
 * cores: 112 against 80 images/s). A large model is held once, and its operators are shared.
 */
import type { ModelDeclaration } from '../../pack/model-declaration.ts';
import { InferenceClient } from './client.ts';
import type { WorkerStart } from './messages.ts';
import type { LoadOptions } from '../model.ts';

/** Copies of a model may take this many bytes together, as float32 weights. */
const COPIES_BYTES = 2 ** 30;

/** Images that go to one thread in a row, and that it waits for while idle. Fewer per copy are not worth the time to load it. */
const GROUP_SIZE = 8;

/** How much larger weights are in memory than in the pack's files: float32, or as they are and once more in the order the operators want. */
const GROWTH_ON_LOAD = { fp32: 1, fp16: 2, int12: 4 / 1.5, int8: 2, int4: 2 } as const;

export type PoolPlan = {
  /** Copies of the model, each in a thread of its own. */
  workers: number;
  /** Threads that share the operators of one copy. */
  threadsPerWorker: number;
  /** Images that a thread gets in a row. */
  groupSize: number;
};

/**
 * Divides threads among copies of a model.
 *
 * @param compute what all copies have together
 * @param images how many there are to answer; with few of them a second copy would cost more than it gives
 * @param batchSize images computed together at most: a thread need not wait for more
 */
export function planPool(
  declaration: ModelDeclaration,
  { compute: { threads }, images, batchSize }: LoadOptions,
): PoolPlan {
  const storedBytes = declaration.files
    .filter((file) => file.path.endsWith('.onnx.data'))
    .reduce((sum, file) => sum + file.bytes, 0);
  const loadedBytes = storedBytes * GROWTH_ON_LOAD[declaration.precision];
  const copies = Math.floor(Math.min(COPIES_BYTES / Math.max(loadedBytes, 1), images / GROUP_SIZE, threads));
  const workers = Math.max(copies, 1);
  return {
    workers,
    threadsPerWorker: Math.max(Math.floor(threads / workers), 1),
    groupSize: Math.min(GROUP_SIZE, batchSize, Math.max(images, 1)),
  };
}

export class InferencePool {
  readonly #clients: InferenceClient[] = [];
  readonly #start: Omit<WorkerStart, 'compute' | 'groupSize'>;
  readonly #plan: PoolPlan;
  #current: InferenceClient | undefined;
  #sentToCurrent = 0;
  /** The thread that is loading its copy, if any. */
  #growing: Promise<void> | undefined;
  #failure: unknown;
  #closed = false;

  private constructor(start: Omit<WorkerStart, 'compute' | 'groupSize'>, plan: PoolPlan) {
    this.#start = start;
    this.#plan = plan;
  }

  /** Copies there will be when there is work for all of them. */
  get workers(): number {
    return this.#plan.workers;
  }

  /**
   * Starts the first thread and waits until it has loaded the model. The others start when images queue up: where decoding is what takes
   * the time, they never do.
   *
   * @throws PackError when the pack cannot be loaded.
   */
  static async start(start: Omit<WorkerStart, 'compute' | 'groupSize'>, plan: PoolPlan): Promise<InferencePool> {
    const pool = new InferencePool(start, plan);
    await pool.#addClient();
    return pool;
  }

  /**
   * Answers every prompt about one image. `pixelValues` is given away.
   *
   * @throws what kept another copy from loading, although the first could.
   */
  async answer(request: Parameters<InferenceClient['answer']>[0]): ReturnType<InferenceClient['answer']> {
    if (this.#failure !== undefined) throw this.#failure;
    const { groupSize, workers } = this.#plan;
    if (this.#current === undefined || this.#sentToCurrent >= groupSize) {
      this.#current = leastBusy(this.#clients);
      this.#sentToCurrent = 0;
    }
    this.#sentToCurrent++;
    const isQueueing = this.#current.openRequests > 2 * groupSize;
    if (isQueueing && this.#clients.length < workers && this.#growing === undefined) this.#growing = this.#grow();
    return this.#current.answer(request);
  }

  /** Ends all threads, also one that is still loading, and frees their memory. Open requests are rejected. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#growing;
    await Promise.all(this.#clients.map(async (client) => client.close()));
  }

  async #grow(): Promise<void> {
    try {
      await this.#addClient();
    } catch (error) {
      this.#failure = error;
    } finally {
      this.#growing = undefined;
    }
  }

  async #addClient(): Promise<void> {
    const { threadsPerWorker, groupSize } = this.#plan;
    const client = await InferenceClient.start({ ...this.#start, compute: { threads: threadsPerWorker }, groupSize });
    if (this.#closed) await client.close();
    else this.#clients.push(client);
  }
}

function leastBusy(clients: readonly InferenceClient[]): InferenceClient {
  return clients.reduce((least, other) => (other.openRequests < least.openRequests ? other : least));
}
