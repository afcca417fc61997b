/**
 * What every way of storing a weight has to say: which initializers a weight becomes, and their bytes.
 *
 * A weight may take several initializers, whole numbers and their scales for example. Each has a role, which also ends its name, so that a weight that is
 * stored in two ways (token embeddings as a table and as the output head) has two sets of names.
 */
import type { Weight } from '../read/weight.ts';
import type { OnnxType } from './value.ts';

/** The roles of all storages; those of one storage are told in its file. */
export type PartRole = 'values' | 'high' | 'low' | 'row_max' | 'columns' | 'column_scale' | 'blocks' | 'block_scale';

/** One initializer that a weight is stored as. */
export type StoredPart = {
  role: PartRole;
  type: OnnxType;
  shape: readonly number[];
  byteLength: number;
};

/** Some bytes of a part. They belong to whoever takes them: the encoder does not write into them again. */
export type EncodedPiece = { role: PartRole; bytes: Uint8Array };

export type Encoding = {
  /** The parts of a weight of this shape, the largest first: all but the part that is being written are kept in memory. */
  parts(shape: readonly number[]): StoredPart[];
  /**
   * Yields the bytes of each part in order; parts may take turns.
   *
   * @throws CheckpointError when a value does not fit.
   */
  encode(weight: Weight): AsyncIterable<EncodedPiece>;
};

/** The bytes of a typed array, without a copy. */
export function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
