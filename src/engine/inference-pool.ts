/**
 * Several inference threads behind one door. Images go in groups to the thread that has the fewest open.
 *
 * A small model is faster as one copy per core, each computing alone, than as one copy whose every operator is shared by the cores: its
 * operators last microseconds, and cores that wait for each other after each of them idle a third of the time (measured with nano on two
 * cores: 112 against 80 images/s). A large model is held once, and its operators are shared.
 */
import type { ModelDeclaration } from '../pack/model-declaration.ts';
import { InferenceClient } from './inference-client.ts';
import type { WorkerStart } from './inference-messages.ts';

/** Copies of a model may take this many bytes together, as float32 weights. */
const COPIES_BYTES = 2 ** 30;

/** Images that go to one thread in a row, and that it waits for while idle. Fewer per copy are not worth the time to load it. */
const GROUP_SIZE = 8;

/** Bytes of a weight as it is stored: what model.json says of the size tells, with this, how many weights there are. */
const STORED_BYTES = { fp32: 4, fp16: 2, int12: 1.5 } as const;

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
 * @param threads how many may compute at the same time
 * @param images how many there are to answer; with few of them a second copy would cost more than it gives
 */
export function planPool(declaration: ModelDeclaration, threads: number, images: number): PoolPlan {
  const storedBytes = declaration.files
    .filter((file) => file.path.endsWith('.onnx.data'))
    .reduce((sum, file) => sum + file.bytes, 0);
  const loadedBytes = (storedBytes / STORED_BYTES[declaration.precision]) * Float32Array.BYTES_PER_ELEMENT;
  const copies = Math.floor(Math.min(COPIES_BYTES / Math.max(loadedBytes, 1), images / GROUP_SIZE, threads));
  const workers = Math.max(copies, 1);
  return {
    workers,
    threadsPerWorker: Math.max(Math.floor(threads / workers), 1),
    groupSize: Math.min(GROUP_SIZE, images),
  };
}

export class InferencePool {
  readonly #clients: readonly InferenceClient[];
  readonly #groupSize: number;
  #current: InferenceClient | undefined;
  #sentToCurrent = 0;

  private constructor(clients: readonly InferenceClient[], groupSize: number) {
    this.#clients = clients;
    this.#groupSize = groupSize;
  }

  get workers(): number {
    return this.#clients.length;
  }

  /**
   * Starts all threads and waits until each has loaded the model.
   *
   * @throws PackError when the pack cannot be loaded; the threads that could are ended again.
   */
  static async start(start: Omit<WorkerStart, 'threads' | 'groupSize'>, plan: PoolPlan): Promise<InferencePool> {
    const starting = Array.from({ length: plan.workers }, async () =>
      InferenceClient.start({ ...start, threads: plan.threadsPerWorker, groupSize: plan.groupSize }),
    );
    const settled = await Promise.allSettled(starting);
    const clients = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const pool = new InferencePool(clients, plan.groupSize);
    const failure = settled.find((result) => result.status === 'rejected');
    if (failure !== undefined) {
      await pool.close();
      throw failure.reason;
    }
    return pool;
  }

  /** Answers every prompt about one image. `pixelValues` is given away. */
  async answer(request: Parameters<InferenceClient['answer']>[0]): ReturnType<InferenceClient['answer']> {
    if (this.#current === undefined || this.#sentToCurrent >= this.#groupSize) {
      this.#current = this.#clients.reduce((least, other) => (other.openRequests < least.openRequests ? other : least));
      this.#sentToCurrent = 0;
    }
    this.#sentToCurrent++;
    return this.#current.answer(request);
  }

  /** Ends all threads and frees their memory. Open requests are rejected. */
  async close(): Promise<void> {
    await Promise.all(this.#clients.map(async (client) => client.close()));
  }
}
