/** What every kind of checkpoint file is to the importer: named tensors whose bytes can be read piece by piece. */
import type { Dtype } from '../../tensor/dtype.ts';

/** A tensor of a checkpoint: what it is, and which file holds it. */
export type StoredTensor = {
  name: string;
  dtype: Dtype;
  shape: readonly number[];
  /** Path of the file that holds the bytes. */
  file: string;
  /** Bytes of all elements in row-major order. */
  byteLength: number;
};

/** An open file. Close it, or its file handle leaks. */
export type TensorFile = {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /**
   * Little-endian bytes of a tensor's elements in row-major order, `length` of them from byte `start` on; all of them by default.
   *
   * @throws CheckpointError when the file ends before.
   */
  read(tensor: StoredTensor, start?: number, length?: number): Promise<Uint8Array>;
  /** Position of a tensor's first byte, where all its bytes follow one another in row-major order; else undefined. */
  positionOf(tensor: StoredTensor): number | undefined;
  close(): Promise<void>;
};
