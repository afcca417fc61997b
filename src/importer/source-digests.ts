/**
 * Checksums of the sources, made by a thread of its own while they are imported. It keeps behind what the import has read, so that it finds in the
 * system's memory what would otherwise be read from the disk twice.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { CheckpointError, MinigptError } from '../errors.ts';
import type { FileDigest } from '../pack/model-declaration.ts';

export type DigestStart = { paths: readonly string[] };

/** Bytes that may have been hashed by now, of all files together. */
export type DigestRequest = { allowed: number };

export type DigestAnswer =
  { type: 'digested'; digests: readonly FileDigest[] } | { type: 'failed'; path: string; reason: string };

/** Bytes between two messages to the thread. */
const STEP_BYTES = 64 * 2 ** 20;

export class SourceDigests {
  readonly #worker: Worker;
  readonly #digests: Promise<ReadonlyMap<string, FileDigest>>;
  #read = 0;
  #told = 0;

  /**
   * Starts the thread. Close it, or the program does not end.
   *
   * @param script the compiled entry of the thread
   */
  constructor(paths: readonly string[], script = new URL('./digest-worker.js', import.meta.url)) {
    const workerData: DigestStart = { paths };
    this.#worker = new Worker(script, { workerData });
    this.#digests = new Promise((resolve, reject) => {
      this.#worker.on('message', (answer: DigestAnswer) => {
        if (answer.type === 'digested') resolve(new Map(answer.digests.map((digest) => [digest.path, digest])));
        else reject(new CheckpointError(answer.path, `the file cannot be read (${answer.reason}).`));
      });
      this.#worker.on('error', (cause: unknown) => {
        reject(new MinigptError(`the thread that hashes the sources failed: ${String(cause)}`, { cause }));
      });
      this.#worker.on('exit', () => reject(new MinigptError('the checksums of the sources were not finished.')));
    });
    // A failure is told by `finish`.
    this.#digests.catch(() => undefined);
  }

  /** Says that the import has read so many bytes more. */
  advance(bytes: number): void {
    this.#read += bytes;
    if (this.#read - this.#told >= STEP_BYTES) this.#tell(this.#read);
  }

  /**
   * Hashes what is left.
   *
   * @returns size and checksum of each file, by its path
   * @throws CheckpointError when a file cannot be read; the signal's reason when it is aborted.
   */
  async finish(signal?: AbortSignal): Promise<ReadonlyMap<string, FileDigest>> {
    signal?.throwIfAborted();
    this.#tell(Infinity);
    if (signal === undefined) return this.#digests;
    const waiting = new AbortController();
    try {
      return await Promise.race([this.#digests, abortOf(signal, waiting.signal)]);
    } finally {
      waiting.abort();
    }
  }

  /** Ends the thread, wherever it is. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #tell(allowed: number): void {
    this.#told = allowed;
    const request: DigestRequest = { allowed };
    this.#worker.postMessage(request);
  }
}

/** Fails as soon as the signal is aborted, and when `until` ends the waiting. */
async function abortOf(signal: AbortSignal, until: AbortSignal): Promise<never> {
  await once(signal, 'abort', { signal: until });
  signal.throwIfAborted();
  throw new MinigptError('the import was aborted.');
}
