/**
 * The processes that decode apart from the program: started when the first image needs one, used again, replaced when they had to be ended or hold
 * much memory, and ended when they have been idle for a while.
 */
import { availableParallelism } from 'node:os';
import type { DecodedImage } from '../rgb-image.ts';
import { DecoderProcess } from './decoder-process.ts';
import { ENTRY } from './entry.ts';
import type { ApartRequest } from './messages.ts';

/** A process that holds more than this after an image is ended: WebAssembly never gives memory back. */
const MOST_IDLE_BYTES = 400e6;
const IDLE_MS = 5000;

export class DecoderPool {
  readonly #entry: URL;
  readonly #most: number;
  readonly #idle: { decoder: DecoderProcess; ending: NodeJS.Timeout }[] = [];
  #busy = 0;
  readonly #waiting: (() => void)[] = [];

  /** @param most processes at one time */
  constructor(entry: URL, most: number) {
    this.#entry = entry;
    this.#most = most;
  }

  /** Decodes, waiting for a process first where all are busy. @throws ImageError; the signal's reason */
  async decode(request: ApartRequest, signal?: AbortSignal): Promise<DecodedImage> {
    await this.#takePlace(signal);
    let decoder: DecoderProcess | undefined;
    try {
      decoder = this.#takeIdle() ?? new DecoderProcess(this.#entry);
      return await decoder.decode(request, signal);
    } finally {
      if (decoder !== undefined) this.#giveBack(decoder);
      this.#givePlace();
    }
  }

  async #takePlace(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (this.#busy < this.#most) {
      this.#busy++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const enter = (): void => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#waiting.push(enter);
    });
  }

  /** The place passes directly to who waits. */
  #givePlace(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#busy--;
    else next();
  }

  #takeIdle(): DecoderProcess | undefined {
    for (let one = this.#idle.pop(); one !== undefined; one = this.#idle.pop()) {
      clearTimeout(one.ending);
      if (one.decoder.isAlive) return one.decoder;
    }
    return undefined;
  }

  #giveBack(decoder: DecoderProcess): void {
    if (!decoder.isAlive) return;
    if (decoder.rss > MOST_IDLE_BYTES) {
      decoder.end();
      return;
    }
    const ending = setTimeout(() => {
      const place = this.#idle.findIndex((one) => one.decoder === decoder);
      if (place >= 0) this.#idle.splice(place, 1);
      decoder.end();
    }, IDLE_MS).unref();
    this.#idle.push({ decoder, ending });
  }
}

/** More would hold more memory than the pictures that are decoded at one time may take. */
const MOST_PROCESSES = 8;

/** The processes of this program: no more than there are cores. */
export const decoderPool = new DecoderPool(ENTRY, Math.min(availableParallelism(), MOST_PROCESSES));
