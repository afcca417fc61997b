/**
 * Weights as ONNX external data: raw bytes in files beside the graph, referred to by position and length.
 *
 * Positions are planned while graphs are built, without reading anything; `write` then streams every weight once from the checkpoint to its
 * place. A weight that two graphs use in the same way (token embeddings and the tied output head, in floating point) is stored once.
 */
import { join } from 'node:path';
import type { FileDigest } from '../../pack/model-declaration.ts';
import { elementCount, type Weight } from '../read/weight.ts';
import { DigestedFile } from './digested-file.ts';
import type { PartRole } from './encoding.ts';
import type { OnnxType } from './value.ts';
import { encodings, type WeightStorage } from './weight-storage.ts';

/** Where one initializer lies. */
export type ExternalTensor = {
  name: string;
  type: OnnxType;
  shape: readonly number[];
  location: string;
  offset: number;
  length: number;
};

/** A weight in its file: one initializer for each part of its encoding, by the part's role and in the order in which they lie there. */
export type PlacedWeight = {
  weight: Weight;
  storage: WeightStorage;
  location: string;
  parts: ReadonlyMap<PartRole, ExternalTensor>;
};

/** How many weights of a file are stored in a certain way, and in how many bytes. */
export type StorageShare = { location: string; storage: WeightStorage; weights: number; bytes: number };

/** Large tensors start on a page so that they can be mapped; small ones need only be aligned. */
const PAGE = 4096;
const ALIGNMENT = 64;
const PAGE_ALIGNED_FROM = 2 ** 20;

export class ExternalData {
  readonly #placed = new Map<string, PlacedWeight>();
  readonly #ends = new Map<string, number>();

  /** Reserves a place in the file `location` for a weight, unless it is stored so already in whichever file. */
  place(weight: Weight, storage: WeightStorage, location: string): PlacedWeight {
    const key = `${storage} ${weight.name}`;
    const known = this.#placed.get(key);
    if (known !== undefined) return known;
    const parts = new Map<PartRole, ExternalTensor>();
    for (const part of encodings[storage].parts(weight.shape)) {
      const alignment = part.byteLength >= PAGE_ALIGNED_FROM ? PAGE : ALIGNMENT;
      const offset = Math.ceil((this.#ends.get(location) ?? 0) / alignment) * alignment;
      this.#ends.set(location, offset + part.byteLength);
      const name = part.role === 'values' ? weight.name : `${weight.name}.${part.role}`;
      parts.set(part.role, { name, type: part.type, shape: part.shape, location, offset, length: part.byteLength });
    }
    const placed = { weight, storage, location, parts };
    this.#placed.set(key, placed);
    return placed;
  }

  /** Bytes of all files together. */
  get totalBytes(): number {
    return [...this.#ends.values()].reduce((sum, end) => sum + end, 0);
  }

  get locations(): string[] {
    return [...this.#ends.keys()];
  }

  /** What lies in the files, by file and way of storing. */
  get shares(): StorageShare[] {
    const shares = new Map<string, StorageShare>();
    for (const { storage, location, parts } of this.#placed.values()) {
      const key = `${location} ${storage}`;
      const share = shares.get(key) ?? { location, storage, weights: 0, bytes: 0 };
      const bytes = [...parts.values()].reduce((sum, { length }) => sum + length, share.bytes);
      shares.set(key, { ...share, weights: share.weights + 1, bytes });
    }
    return [...shares.values()];
  }

  /**
   * Streams every placed weight into its file, one piece at a time. Memory stays at a few pieces and one matrix in 8 bits, whatever the size
   * of the checkpoint.
   *
   * @param onBytes called with the bytes written since the last call.
   * @returns size and checksum of each file.
   * @throws CheckpointError when a source file ends early, or a value does not fit its storage.
   */
  async write(directory: string, onBytes: (bytes: number) => void, signal?: AbortSignal): Promise<FileDigest[]> {
    const digests: FileDigest[] = [];
    for (const location of this.locations) {
      const file = await DigestedFile.create(join(directory, location));
      try {
        for (const placed of this.#placed.values()) {
          if (placed.location !== location) continue;
          signal?.throwIfAborted();
          await writeWeight(file, placed, onBytes, signal);
        }
        digests.push(file.digest());
      } finally {
        await file.close();
      }
    }
    return digests;
  }
}

/** Parts are written one after the other; pieces of later parts wait in memory until it is their turn. */
async function writeWeight(
  file: DigestedFile,
  { weight, storage, parts }: PlacedWeight,
  onBytes: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const waiting = new Map<PartRole, Uint8Array[]>([...parts.keys()].map((role) => [role, []]));
  const order = [...parts];
  let current = order.shift();
  const writeWhatFits = async (): Promise<void> => {
    while (current !== undefined) {
      const [role, tensor] = current;
      if (file.size < tensor.offset) await file.padTo(tensor.offset);
      for (const bytes of waiting.get(role)?.splice(0) ?? []) {
        if (file.size + bytes.byteLength > tensor.offset + tensor.length)
          throw new RangeError(`${weight.name}: its encoding yields more than was planned for ${role}`);
        await file.write(bytes);
        onBytes(bytes.byteLength);
      }
      if (file.size < tensor.offset + tensor.length) return;
      current = order.shift();
    }
  };
  for await (const { role, bytes } of encodings[storage].encode(weight)) {
    signal?.throwIfAborted();
    const queue = waiting.get(role);
    if (queue === undefined) throw new RangeError(`${weight.name}: ${role} is no part of ${storage}`);
    queue.push(bytes);
    await writeWhatFits();
  }
  const leftOver = [...waiting].find(([, queue]) => queue.length > 0);
  const [unfilled] = current ?? leftOver ?? [];
  if (unfilled !== undefined) {
    throw new RangeError(
      `${weight.name} has ${elementCount(weight.shape)} elements, but ${unfilled} was not filled as planned`,
    );
  }
}
