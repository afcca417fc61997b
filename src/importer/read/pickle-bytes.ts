/**
 * Walks through the bytes of a pickle, a window of the file at a time: a legacy file does not say how long its pickles are, and gigabytes of
 * weights may follow.
 */
import { CheckpointError, type CheckpointFault } from '../../errors.ts';
import { MAX_PICKLE_BYTES } from './pickle-budget.ts';

const WINDOW_BYTES = 64 * 2 ** 10;

/** A range of a file that holds a pickle, at its beginning. */
export type PickleRange = {
  /** The file, for messages. */
  path: string;
  /** Which pickle it is, for messages. */
  what: string;
  begin: number;
  /** Where the pickle must have ended. */
  end: number;
  /** What it means when it has not: the file is cut off, or the pickle lies. */
  endFault: 'truncated' | 'bad-pickle';
  read: (position: number, length: number) => Uint8Array;
};

export class PickleBytes {
  readonly #range: PickleRange;
  readonly #end: number;
  /** Position of the next byte in the file. */
  #position: number;
  #window: DataView = new DataView(new ArrayBuffer(0));
  #windowStart = 0;

  constructor(range: PickleRange) {
    this.#range = range;
    this.#position = range.begin;
    this.#end = Math.min(range.end, range.begin + MAX_PICKLE_BYTES);
  }

  /** Position in the file of the next byte. */
  get position(): number {
    return this.#position;
  }

  uint8(): number {
    const at = this.#advance(1);
    return this.#window.getUint8(at);
  }

  uint16(): number {
    const at = this.#advance(2);
    return this.#window.getUint16(at, true);
  }

  uint32(): number {
    const at = this.#advance(4);
    return this.#window.getUint32(at, true);
  }

  int32(): number {
    const at = this.#advance(4);
    return this.#window.getInt32(at, true);
  }

  /** A 64-bit length; Infinity beyond 2^53. */
  uint64(): number {
    const at = this.#advance(8);
    const value = this.#window.getBigUint64(at, true);
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : Infinity;
  }

  /** The one number that pickles write big end first. */
  float64(): number {
    const at = this.#advance(8);
    return this.#window.getFloat64(at, false);
  }

  /** A copy of the next bytes. */
  bytes(length: number): Uint8Array {
    if (length <= WINDOW_BYTES) {
      const at = this.#advance(length);
      return new Uint8Array(this.#window.buffer, this.#window.byteOffset + at, length).slice();
    }
    this.requireLeft(length);
    const bytes = this.#range.read(this.#position, length);
    this.#position += length;
    return bytes;
  }

  /** ASCII text up to the next line feed, which is taken too. */
  line(maxLength: number): string {
    let text = '';
    for (let byte = this.uint8(); byte !== 0x0a; byte = this.uint8()) {
      if (byte > 0x7e || byte < 0x20) throw this.refusal('bad-pickle', 'a name contains characters that are not ASCII');
      if (text.length === maxLength) throw this.refusal('bad-pickle', `a name has more than ${maxLength} letters`);
      text += String.fromCharCode(byte);
    }
    return text;
  }

  /** @throws CheckpointError when the pickle has fewer bytes left. */
  requireLeft(length: number): void {
    if (this.#position + length <= this.#end) return;
    const { end, endFault, begin } = this.#range;
    if (this.#end < end && length < MAX_PICKLE_BYTES) {
      throw this.refusal('too-large', `it has more than ${MAX_PICKLE_BYTES} bytes`);
    }
    throw this.refusal(endFault, `it continues after its end (byte ${end - begin})`);
  }

  /** The error for what is wrong at this place. */
  refusal(fault: CheckpointFault, reason: string): CheckpointError {
    const { path, what, begin } = this.#range;
    const advice = fault === 'truncated' || fault === 'bad-pickle' ? ' The file is damaged; download it again.' : '';
    const message = `${what} cannot be read at its byte ${this.#position - begin}: ${reason}.${advice}`;
    return new CheckpointError(path, message, { fault });
  }

  /** Takes `length` bytes, at most a window, and says where in the window they begin. */
  #advance(length: number): number {
    let at = this.#position - this.#windowStart;
    if (at + length > this.#window.byteLength) {
      this.requireLeft(length);
      const bytes = this.#range.read(this.#position, Math.min(WINDOW_BYTES, this.#end - this.#position));
      this.#window = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      this.#windowStart = this.#position;
      at = 0;
    }
    this.#position += length;
    return at;
  }
}
