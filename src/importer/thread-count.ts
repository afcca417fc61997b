/** How many threads an import is worth. Small checkpoints are imported before a thread would have started. */
import { availableParallelism } from 'node:os';

/** Elements from which threads are started (128 MB of float32). */
const WORTH_THREADS = 32 * 2 ** 20;

/** More threads would encode faster than one thread hashes and a disk reads, and each takes memory. */
const MOST_THREADS = 8;

/** How many threads encode a model of so many weights; 0 where the main thread does it. */
export function encodingThreads(elements: number): number {
  return elements < WORTH_THREADS ? 0 : Math.min(availableParallelism(), MOST_THREADS);
}
