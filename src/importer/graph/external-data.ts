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
import { inOrder } from './in-order.ts';
import { placeWeight, type PlacedWeight } from './placed-weight.ts';
import { encodeHere, piecesOf, type PieceEncoder, type WeightPiece } from './weight-piece.ts';
import type { WeightStorage } from './weight-storage.ts';
import { WeightWriter } from './weight-writer.ts';

/** How many weights of a file are stored in a certain way, and in how many bytes. */
export type StorageShare = { location: string; storage: WeightStorage; weights: number; bytes: number };

export class ExternalData {
  readonly #placed = new Map<string, PlacedWeight>();
  readonly #ends = new Map<string, number>();

  /** Reserves a place in the file `location` for a weight, unless it is stored so already in whichever file. */
  place(weight: Weight, storage: WeightStorage, location: string): PlacedWeight {
    const key = `${storage} ${weight.name}`;
    const known = this.#placed.get(key);
    if (known !== undefined) return known;
    // A file that nothing lies in is free from its first byte on.
    const { placed, end } = placeWeight(weight, storage, location, this.#ends.get(location) ?? 0);
    this.#ends.set(location, end);
    this.#placed.set(key, placed);
    return placed;
  }

  /** Bytes of all files together. */
  get totalBytes(): number {
    return [...this.#ends.values()].reduce((sum, end) => sum + end, 0);
  }

  /** Elements of all weights together. */
  get elements(): number {
    return [...this.#placed.values()].reduce((sum, { weight }) => sum + elementCount(weight.shape), 0);
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
   * Streams every placed weight into its file, piece by piece. Memory stays at the few pieces that are in work and one matrix in 8 bits, whatever the
   * size of the checkpoint.
   *
   * @param onBytes called with the bytes written since the last call.
   * @param encoder where pieces are read and encoded; the bytes that are written do not depend on it.
   * @returns size and checksum of each file.
   * @throws CheckpointError when a source file ends early, or a value does not fit its storage.
   */
  async write(
    directory: string,
    onBytes: (bytes: number) => void,
    signal?: AbortSignal,
    encoder: PieceEncoder = encodeHere,
  ): Promise<FileDigest[]> {
    const digests: FileDigest[] = [];
    for (const location of this.locations) {
      const placed = [...this.#placed.values()].filter((one) => one.location === location);
      const file = await DigestedFile.create(join(directory, location));
      try {
        await writeWeights(file, placed, onBytes, signal, encoder);
        digests.push(file.digest());
      } finally {
        await file.close();
      }
    }
    return digests;
  }
}

async function writeWeights(
  file: DigestedFile,
  placed: readonly PlacedWeight[],
  onBytes: (bytes: number) => void,
  signal: AbortSignal | undefined,
  encoder: PieceEncoder,
): Promise<void> {
  // Reading and encoding go on over the ends of weights, since most are no larger than a piece or two.
  const encoded = inOrder(
    allPieces(placed),
    encoder.ahead,
    ({ count }) => count,
    async (piece) => encoder.encode(piece),
  );
  try {
    for (const one of placed) {
      signal?.throwIfAborted();
      const writer = new WeightWriter(file, one, onBytes);
      for (const _ of piecesOf(one.weight, one.storage)) {
        const next = await encoded.next();
        signal?.throwIfAborted();
        if (next.done !== true) await writer.add(next.value);
      }
      writer.finish();
    }
  } finally {
    await encoded.return(undefined);
  }
}

function* allPieces(placed: readonly PlacedWeight[]): Generator<WeightPiece> {
  for (const { weight, storage } of placed) yield* piecesOf(weight, storage);
}
