/** The threads of a large import: some read and encode pieces of weights, one hashes the sources behind them. */
import type { FileDigest } from '../pack/model-declaration.ts';
import { dtypeBytes } from '../tensor/dtype.ts';
import type { EncodedPiece } from './graph/encoding.ts';
import { EncodingThreads } from './graph/encoding-threads.ts';
import type { PieceEncoder, WeightPiece } from './graph/weight-piece.ts';
import { SourceDigests } from './source-digests.ts';

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
