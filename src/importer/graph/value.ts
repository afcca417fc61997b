/** A tensor that flows along an edge of a graph under construction: its name, its element type and its shape. */

/** Element types of our graphs, with their numbers in ONNX (TensorProto.DataType). */
export const ONNX_TYPES = { float: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10, uint4: 21 } as const;

export type OnnxType = keyof typeof ONNX_TYPES;

/** A size that is fixed at import, or the letter of one that is known only at run time (`'B'` for the batch). */
export type Dim = number | string;

export type Value = {
  name: string;
  type: OnnxType;
  shape: readonly Dim[];
  /** Known to hold no number below zero: what follows may use the bit of the sign otherwise. */
  nonNegative?: true;
};
