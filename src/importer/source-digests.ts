/**
 * Checksums of the sources, made by a thread of its own while they are imported. It keeps behind what the import has read, so that it finds in the
 * system's memory what would otherwise be read from the disk twice.
 */
import { once } from 'node:events';
import { MinigptError } from '../errors.ts';
import type { FileDigest } from '../pack/model-declaration.ts';
import { Thread } from '../threads/thread.ts';

export type DigestStart = { paths: readonly string[] };

/** Bytes that may have been hashed by now, of all files together. */
export type DigestNotice = { allowed: number };

/** Asks for the digests of all files, whatever was allowed. */
export type DigestRequest = 'all';

/** Bytes between two messages to the thread. */
const STEP_BYTES = 64 * 2 ** 20;

export class SourceDigests {
  readonly #thread: Thread<DigestRequest, readonly FileDigest[], DigestNotice>;
  #read = 0;
  #told = 0;

  /**
   * Starts the thread. Close it, or the program does not end.
   *
   * @param script the compiled entry of the thread
   */
  constructor(paths: readonly string[], script = new URL('./digest-worker.js', import.meta.url)) {
    const data: DigestStart = { paths };
    this.#thread = new Thread({ script, name: 'the thread that hashes the sources', data });
  }

  /** Says that the import has read so many bytes more. */
  advance(bytes: number): void {
    this.#read += bytes;
    if (this.#read - this.#told < STEP_BYTES) return;
    this.#told = this.#read;
    this.#thread.tell({ allowed: this.#read });
  }

  /**
   * Hashes what is left.
   *
   * @returns size and checksum of each file, by its path
   * @throws CheckpointError when a file cannot be read; the signal's reason when it is aborted.
   */
  async finish(signal?: AbortSignal): Promise<ReadonlyMap<string, FileDigest>> {
    signal?.throwIfAborted();
    const digests = this.#thread.request('all');
    const byPath = digests.then((all) => new Map(all.map((digest) => [digest.path, digest])));
    if (signal === undefined) return byPath;
    const waiting = new AbortController();
    try {
      return await Promise.race([byPath, abortOf(signal, waiting.signal)]);
    } finally {
      waiting.abort();
    }
  }

  /** Ends the thread, wherever it is. */
  async close(): Promise<void> {
    await this.#thread.terminate();
  }
}

/** Fails as soon as the signal is aborted, and when `until` ends the waiting. */
async function abortOf(signal: AbortSignal, until: AbortSignal): Promise<never> {
  await once(signal, 'abort', { signal: until });
  signal.throwIfAborted();
  throw new MinigptError('the import was aborted.');
}
