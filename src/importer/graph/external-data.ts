/**
 * Weights as ONNX external data: raw bytes in files beside the graph, referred to by position and length.
 *
 * Positions are planned while graphs are built, without reading anything; `write` then streams every weight once from the checkpoint to its
 * place. A weight that two graphs use (token embeddings and the tied output head) is stored once.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { elementCount, type Weight } from '../read/weights.ts';
import type { OnnxType } from './value.ts';
import { encodings, type StoragePrecision, type StoredPart } from './weight-storage.ts';

/** Where one initializer lies. */
export type ExternalTensor = {
  name: string;
  type: OnnxType;
  shape: readonly number[];
  location: string;
  offset: number;
  length: number;
};

/** A weight in its file: one initializer for each part of its encoding, by the part's role. */
export type PlacedWeight = {
  weight: Weight;
  precision: StoragePrecision;
  parts: ReadonlyMap<StoredPart['role'], ExternalTensor>;
};

/** Large tensors start on a page so that they can be mapped; small ones need only be aligned. */
const PAGE = 4096;
const ALIGNMENT = 64;
const PAGE_ALIGNED_FROM = 2 ** 20;

export class ExternalData {
  readonly #placed = new Map<string, PlacedWeight>();
  readonly #ends = new Map<string, number>();

  /** Reserves a place in the file `location` for a weight, unless it has one already in whichever file. */
  place(weight: Weight, precision: StoragePrecision, location: string): PlacedWeight {
    const known = this.#placed.get(weight.name);
    if (known !== undefined) return known;
    const parts = new Map<StoredPart['role'], ExternalTensor>();
    for (const part of encodings[precision].parts(weight.shape)) {
      const alignment = part.byteLength >= PAGE_ALIGNED_FROM ? PAGE : ALIGNMENT;
      const offset = Math.ceil((this.#ends.get(location) ?? 0) / alignment) * alignment;
      this.#ends.set(location, offset + part.byteLength);
      const name = part.role === 'values' ? weight.name : `${weight.name}.${part.role}`;
      parts.set(part.role, { name, type: part.type, shape: part.shape, location, offset, length: part.byteLength });
    }
    const placed = { weight, precision, parts };
    this.#placed.set(weight.name, placed);
    return placed;
  }

  /** Bytes of all files together. */
  get totalBytes(): number {
    return [...this.#ends.values()].reduce((sum, end) => sum + end, 0);
  }

  get locations(): string[] {
    return [...this.#ends.keys()];
  }

  /**
   * Streams every placed weight into its file, one piece at a time: memory stays at a few pieces, whatever the size.
   *
   * @param onBytes called with the bytes written since the last call.
   * @throws CheckpointError when a source file ends early, or a value does not fit the precision.
   */
  async write(directory: string, onBytes: (bytes: number) => void, signal?: AbortSignal): Promise<void> {
    for (const location of this.locations) {
      const file = await open(join(directory, location), 'w');
      try {
        for (const placed of this.#placed.values()) {
          if (placed.parts.values().next().value?.location !== location) continue;
          signal?.throwIfAborted();
          const written = new Map<StoredPart['role'], number>();
          for await (const { role, bytes } of encodings[placed.precision].encode(placed.weight)) {
            const tensor = placed.parts.get(role);
            const done = written.get(role) ?? 0;
            if (tensor === undefined || done + bytes.byteLength > tensor.length) {
              throw new RangeError(`${placed.weight.name}: its encoding yields more than was planned for ${role}`);
            }
            await file.write(bytes, 0, bytes.byteLength, tensor.offset + done);
            written.set(role, done + bytes.byteLength);
            onBytes(bytes.byteLength);
          }
          for (const [role, tensor] of placed.parts) {
            if (written.get(role) !== tensor.length) {
              throw new RangeError(
                `${placed.weight.name} has ${elementCount(placed.weight.shape)} elements, but ${role} was not filled`,
              );
            }
          }
        }
        await file.truncate(this.#ends.get(location) ?? 0);
      } finally {
        await file.close();
      }
    }
  }
}
