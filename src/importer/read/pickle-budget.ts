/**
 * What one pickle may cost. A hostile pickle of some kilobytes can ask for gigabytes; a real one has a few dozen operations per tensor.
 *
 * The limits are far above any checkpoint (30,000 tensors need a tenth of them), and together keep the values of a pickle below some
 * hundred megabytes.
 */
import { CheckpointError } from '../../errors.ts';

const MAX_OPERATIONS = 10_000_000;
const MAX_CONTAINERS = 1_000_000;
const MAX_STACK = 1_000_000;
const MAX_MEMO = 1_000_000;
const MAX_TEXT_BYTES = 64 * 2 ** 20;

/** Bytes of one pickle. */
export const MAX_PICKLE_BYTES = 256 * 2 ** 20;

export class PickleBudget {
  readonly #path: string;
  #operations = 0;
  #containers = 0;
  #textBytes = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** `count` operations, or so many values copied by one. */
  spendOperations(count: number): void {
    this.#operations += count;
    if (this.#operations > MAX_OPERATIONS) this.#exceeded('operations', MAX_OPERATIONS);
  }

  /** One more object that holds others. */
  spendContainer(): void {
    this.#containers++;
    if (this.#containers > MAX_CONTAINERS) this.#exceeded('objects', MAX_CONTAINERS);
  }

  /** Bytes of a text or of raw data. */
  spendText(bytes: number): void {
    this.#textBytes += bytes;
    if (this.#textBytes > MAX_TEXT_BYTES) this.#exceeded('bytes of text', MAX_TEXT_BYTES);
  }

  checkStack(depth: number): void {
    if (depth > MAX_STACK) this.#exceeded('values in progress', MAX_STACK);
  }

  checkMemo(entries: number): void {
    if (entries > MAX_MEMO) this.#exceeded('remembered values', MAX_MEMO);
  }

  #exceeded(what: string, limit: number): never {
    const message = `its pickle has more than ${limit} ${what}, which no checkpoint needs. It is refused before it fills the memory.`;
    throw new CheckpointError(this.#path, message, { fault: 'too-large' });
  }
}
