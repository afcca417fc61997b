/**
 * Threads that read and encode pieces of weights, so that every core works and the main thread is left to write, to hash what it writes, and to listen to
 * Ctrl-C. A piece goes to the thread that has the least to do.
 */
import { Thread } from '../../threads/thread.ts';
import { PIECE_ELEMENTS } from '../read/weight.ts';
import type { EncodedPiece } from './encoding.ts';
import type { EncodeRequest } from './encoding-messages.ts';
import { encodeHere, type PieceEncoder, type WeightPiece } from './weight-piece.ts';

/** Pieces that a thread has at a time: one is encoded, and the next one waits. */
const PIECES_OF_THREAD = 2;

/** Below so many elements a piece is encoded here: sending it would take longer. */
const WORTH_SENDING = 2 ** 15;

export class EncodingThreads implements PieceEncoder {
  readonly ahead: number;
  readonly #threads: readonly Thread<EncodeRequest, readonly EncodedPiece[]>[];

  /**
   * Starts the threads. Close them, or the program does not end.
   *
   * @param script the compiled entry of a thread
   */
  constructor(count: number, script = new URL('./encoding-worker.js', import.meta.url)) {
    this.ahead = count * PIECES_OF_THREAD * PIECE_ELEMENTS;
    this.#threads = Array.from({ length: count }, () => new Thread({ script, name: 'a thread of the import' }));
  }

  /**
   * Reads and encodes a piece in one of the threads.
   *
   * @throws CheckpointError as it would be thrown here; MinigptError when a thread breaks down, or they are closed.
   */
  async encode(piece: WeightPiece): Promise<readonly EncodedPiece[]> {
    if (piece.count < WORTH_SENDING) return encodeHere.encode(piece);
    const { weight, storage, start, count } = piece;
    const { name, shape, file } = weight;
    const stretches = weight.stretches?.(start, count);
    const source =
      stretches === undefined ? { values: await weight.read(start, count) } : { dtype: weight.dtype, stretches };
    const least = this.#threads.reduce((a, b) => (b.openRequests < a.openRequests ? b : a));
    const given = 'values' in source ? [source.values.buffer] : [];
    return least.request({ tensor: { name, shape, file }, storage, source }, given);
  }

  /** Ends the threads after what they are at. Pieces that are not encoded by then are rejected. */
  async close(): Promise<void> {
    await Promise.all(this.#threads.map(async (thread) => thread.close()));
  }
}
