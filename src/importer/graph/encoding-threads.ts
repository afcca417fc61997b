/**
 * Threads that read and encode pieces of weights, so that every core works and the main thread is left to write, to hash what it writes, and to listen to
 * Ctrl-C. A piece goes to the thread that has the least to do.
 */
import { Worker } from 'node:worker_threads';
import { MinigptError } from '../../errors.ts';
import { PIECE_ELEMENTS } from '../read/weight.ts';
import type { EncodedPiece } from './encoding.ts';
import { errorOf, type EncodeRequest, type EncodingAnswer } from './encoding-messages.ts';
import { encodeHere, type PieceEncoder, type WeightPiece } from './weight-piece.ts';

/** Pieces that a thread has at a time: one is encoded, and the next one waits. */
const PIECES_OF_THREAD = 2;

/** Below so many elements a piece is encoded here: sending it would take longer. */
const WORTH_SENDING = 2 ** 15;

type Waiting = { resolve: (pieces: readonly EncodedPiece[]) => void; reject: (error: unknown) => void };

export class EncodingThreads implements PieceEncoder {
  readonly ahead: number;
  readonly #threads: readonly EncodingThread[];

  /**
   * Starts the threads. Close them, or the program does not end.
   *
   * @param script the compiled entry of a thread
   */
  constructor(count: number, script = new URL('./encoding-worker.js', import.meta.url)) {
    this.ahead = count * PIECES_OF_THREAD * PIECE_ELEMENTS;
    this.#threads = Array.from({ length: count }, () => new EncodingThread(script));
  }

  /**
   * Reads and encodes a piece in one of the threads.
   *
   * @throws CheckpointError as it would be thrown here; MinigptError when a thread breaks down, or they are closed.
   */
  async encode(piece: WeightPiece): Promise<readonly EncodedPiece[]> {
    if (piece.count < WORTH_SENDING) return encodeHere.encode(piece);
    const { weight, storage, start, count } = piece;
    const stretches = weight.stretches?.(start, count);
    const source =
      stretches === undefined
        ? { values: await weight.read(start, count) }
        : { dtype: weight.dtype, stretches: stretches };
    const least = this.#threads.reduce((a, b) => (b.open < a.open ? b : a));
    const { name, shape, file } = weight;
    return least.request({ tensor: { name, shape, file }, storage, source });
  }

  /** Ends the threads after what they are at. Pieces that are not encoded by then are rejected. */
  async close(): Promise<void> {
    await Promise.all(this.#threads.map(async (thread) => thread.close()));
  }
}

class EncodingThread {
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  #ended: MinigptError | undefined;

  constructor(script: URL) {
    this.#worker = new Worker(script);
    this.#worker.on('message', (answer: EncodingAnswer) => this.#answered(answer));
    this.#worker.on('error', (error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      this.#end(new MinigptError(`an import thread failed: ${reason}`, { cause: error }));
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        this.#end(new MinigptError(`an import thread ended with exit code ${code}. There may not be enough memory.`));
        resolve();
      });
    });
  }

  /** Pieces that are not answered yet. */
  get open(): number {
    return this.#waiting.size;
  }

  async request(content: Omit<EncodeRequest, 'type' | 'id'>): Promise<readonly EncodedPiece[]> {
    if (this.#ended !== undefined) throw this.#ended;
    const id = this.#nextId++;
    const answered = new Promise<readonly EncodedPiece[]>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    const request: EncodeRequest = { type: 'encode', id, ...content };
    const { source } = request;
    const given = 'values' in source && source.values.buffer instanceof ArrayBuffer ? [source.values.buffer] : [];
    this.#worker.postMessage(request, given);
    return answered;
  }

  async close(): Promise<void> {
    if (this.#ended === undefined) {
      this.#end(new MinigptError('the import was closed before a piece was encoded.'));
      this.#worker.postMessage({ type: 'close' });
    }
    await this.#exited;
  }

  #answered(answer: EncodingAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (answer.type === 'encoded') waiting?.resolve(answer.pieces);
    else waiting?.reject(answer.type === 'refused' ? errorOf(answer.refusal) : answer.error);
  }

  #end(error: MinigptError): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
  }
}
