/**
 * The threads of a large import: some read and encode pieces of weights, one hashes the sources behind them. Small checkpoints are imported before a
 * thread would have started.
 */
import { availableParallelism } from 'node:os';
import type { FileDigest } from '../pack/model-declaration.ts';
import { dtypeBytes } from '../tensor/dtype.ts';
import type { EncodedPiece } from './graph/encoding.ts';
import { EncodingThreads } from './graph/encoding-threads.ts';
import type { PieceEncoder, WeightPiece } from './graph/weight-piece.ts';
import { SourceDigests } from './source-digests.ts';

/** Elements from which threads are started (128 MB of float32). */
const WORTH_THREADS = 32 * 2 ** 20;

/** More threads would encode faster than one thread hashes and a disk reads, and each takes memory. */
const MOST_THREADS = 8;

/** How many threads encode a model of so many weights; 0 where the main thread does it. */
export function encodingThreads(elements: number): number {
  return elements < WORTH_THREADS ? 0 : Math.min(availableParallelism(), MOST_THREADS);
}

export class ImportThreads implements PieceEncoder {
  readonly #encoding: EncodingThreads;
  readonly #digests: SourceDigests;

  /**
   * Starts the threads. Close them, or the program does not end.
   *
   * @param count of threads that encode
   * @param paths of the files that are hashed
   */
  constructor(count: number, paths: readonly string[]) {
    this.#encoding = new EncodingThreads(count);
    this.#digests = new SourceDigests(paths);
  }

  get ahead(): number {
    return this.#encoding.ahead;
  }

  async encode(piece: WeightPiece): Promise<readonly EncodedPiece[]> {
    const encoded = await this.#encoding.encode(piece);
    this.#digests.advance(piece.count * dtypeBytes(piece.weight.dtype));
    return encoded;
  }

  /** Size and checksum of the sources, by path. @throws CheckpointError when a file cannot be read; the signal's reason when it is aborted. */
  async digestSources(signal?: AbortSignal): Promise<ReadonlyMap<string, FileDigest>> {
    return this.#digests.finish(signal);
  }

  async close(): Promise<void> {
    await Promise.all([this.#encoding.close(), this.#digests.close()]);
  }
}
