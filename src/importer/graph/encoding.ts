/**
 * What every way of storing a weight has to say: which initializers a weight becomes, and their bytes.
 *
 * A weight may take several initializers, whole numbers and their scales for example. Each has a role, which also ends its name, so that a weight that is
 * stored in two ways (token embeddings as a table and as the output head) has two sets of names. Pieces of a weight are encoded apart, in whichever
 * thread; what has to see all of them joins them afterwards.
 */
import { CheckpointError } from '../../errors.ts';
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

/** What an encoding needs to know of a tensor beside its values: the whole tensor's shape, and what to call it in messages. */
export type EncodedTensor = { name: string; shape: readonly number[]; file?: string | undefined };

/** Puts the encoded pieces of one weight together, in their order. */
export type PieceJoiner = {
  /** Adds the next piece. Returns the bytes that are ready. */
  add(piece: readonly EncodedPiece[]): EncodedPiece[];
};

export type Encoding = {
  /** The parts of a weight of this shape, the largest first: all but the part that is being written are kept in memory. */
  parts(shape: readonly number[]): StoredPart[];
  /** Elements that are encoded together: each piece but the last of a weight holds a multiple of so many. */
  unit(shape: readonly number[]): number;
  /**
   * Encodes one piece: whole units of the tensor, not told which. The values are only read.
   *
   * @throws CheckpointError when a value does not fit.
   */
  encode(values: Float32Array, tensor: EncodedTensor): EncodedPiece[];
  /** How pieces are joined, where the parts are not simply those of one piece behind those of the other. */
  join?(shape: readonly number[]): PieceJoiner;
};

/** The bytes of a typed array, without a copy. */
export function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** The error for a tensor with a value that cannot be stored. `reason` goes on after the tensor's name. */
export function refusal({ name, file }: EncodedTensor, reason: string): CheckpointError {
  return file === undefined
    ? new CheckpointError(name, `this tensor ${reason}`)
    : new CheckpointError(file, `tensor ${name} ${reason}`);
}

/** @throws RangeError for a weight that is no matrix. */
export function matrixShape(shape: readonly number[]): [outputs: number, inputs: number] {
  const [outputs, inputs] = shape;
  if (outputs === undefined || inputs === undefined || shape.length !== 2)
    throw new RangeError(`a matrix has two axes, not [${shape.join(', ')}]`);
  return [outputs, inputs];
}
