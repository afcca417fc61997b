/** Writes the encoded pieces of one weight to the places that were planned for its parts. */
import { required } from '../../required.ts';
import { elementCount } from '../read/weight.ts';
import type { DigestedFile } from './digested-file.ts';
import type { EncodedPiece, PartRole, PieceJoiner } from './encoding.ts';
import type { ExternalTensor, PlacedWeight } from './placed-weight.ts';
import { encodings } from './weight-storage.ts';

export class WeightWriter {
  readonly #file: DigestedFile;
  readonly #placed: PlacedWeight;
  readonly #onBytes: (bytes: number) => void;
  readonly #joiner: PieceJoiner | undefined;
  /** Parts that are not complete yet, in the order in which they lie. */
  readonly #order: [PartRole, ExternalTensor][];
  /** Bytes of later parts, until it is their turn. */
  readonly #waiting: ReadonlyMap<PartRole, Uint8Array[]>;

  /** @param onBytes called with the bytes written since the last call */
  constructor(file: DigestedFile, placed: PlacedWeight, onBytes: (bytes: number) => void) {
    this.#file = file;
    this.#placed = placed;
    this.#onBytes = onBytes;
    this.#joiner = encodings[placed.storage].join?.(placed.weight.shape);
    this.#order = [...placed.parts];
    this.#waiting = new Map([...placed.parts.keys()].map((role) => [role, []]));
  }

  /**
   * Adds the next piece, and writes what can be written.
   *
   * @throws RangeError when the encoding yields other parts, or more of them, than it planned.
   */
  async add(piece: readonly EncodedPiece[]): Promise<void> {
    const { weight, storage } = this.#placed;
    for (const { role, bytes } of this.#joiner?.add(piece) ?? piece) {
      const queue = this.#waiting.get(role);
      if (queue === undefined) throw new RangeError(`${weight.name}: ${role} is no part of ${storage}`);
      queue.push(bytes);
    }
    await this.#writeWhatFits();
  }

  /** To be called after the last piece. @throws RangeError when a part is not as long as planned. */
  finish(): void {
    const { weight } = this.#placed;
    const leftOver = [...this.#waiting].find(([, queue]) => queue.length > 0);
    const unfilled = (this.#order[0] ?? leftOver)?.[0];
    if (unfilled !== undefined) {
      throw new RangeError(
        `${weight.name} has ${elementCount(weight.shape)} elements, but ${unfilled} was not filled as planned`,
      );
    }
  }

  async #writeWhatFits(): Promise<void> {
    for (let first = this.#order[0]; first !== undefined; first = this.#order[0]) {
      const [role, { offset, length }] = first;
      if (this.#file.size < offset) await this.#file.padTo(offset);
      for (const bytes of required(this.#waiting.get(role), `the bytes that wait for ${role}`).splice(0)) {
        if (this.#file.size + bytes.byteLength > offset + length)
          throw new RangeError(`${this.#placed.weight.name}: its encoding yields more than was planned for ${role}`);
        await this.#file.write(bytes);
        this.#onBytes(bytes.byteLength);
      }
      if (this.#file.size < offset + length) return;
      this.#order.shift();
    }
  }
}
