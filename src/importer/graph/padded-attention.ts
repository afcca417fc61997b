/**
 * Attention over sequences of different lengths that are padded on the right, and attention that hands out its keys and values.
 *
 * B rows, S positions, H heads of size Dh, D = H·Dh.
 */
import { ONNX_TYPES, type Value } from './value.ts';
import { MICROSOFT, type GraphBuilder } from './builder.ts';
import { split } from './operators.ts';
import { sizeOfAxis, type Weight } from '../read/weight.ts';

/** Queries, keys and values of one sequence, still without their biases. */
export type PackedAttention = {
  /** [B, S, 3D] */
  qkv: Value;
  /** [3D] */
  bias: Weight;
  numHeads: number;
};

/**
 * What `paddedAttention` reads: int32 [B, Q + T], 1 where there is something to look at.
 *
 * @param attentionMask int64 [B, T], 1 for text and 0 for padding
 * @param before Q, how many positions stand before the text; all of them count
 */
export function keyMask(g: GraphBuilder, attentionMask: Value, before: number): Value {
  const [batch, text] = [sizeOfAxis(attentionMask, 0), sizeOfAxis(attentionMask, 1)];
  const padded =
    before === 0
      ? attentionMask
      : g.node1('Pad', [attentionMask, g.int64([0, before, 0, 0]), g.int64([1], [])], {
          type: 'int64',
          shape: [batch, `${before}+${text}`],
        });
  return g.node1('Cast', [padded], { type: 'int32', shape: padded.shape }, { to: ONNX_TYPES.int32 });
}

/**
 * Softmax attention in which nobody sees masked positions: their scores are lowered by 10,000, which leaves nothing of them in float32.
 *
 * @param mask of `keyMask`, or undefined where every position counts
 * @returns [B, S, D]
 */
export function paddedAttention(
  g: GraphBuilder,
  { qkv, bias, numHeads }: PackedAttention,
  mask: Value | undefined,
): Value {
  const [query, key, value] = split(g, qkv, 3); // [B, S, D] each
  const inputs = [query, key, value, g.weight(bias), mask];
  return g.node1(
    'MultiHeadAttention',
    inputs,
    { type: 'float', shape: query.shape },
    { num_heads: numHeads, mask_filter_value: { float: -10_000 } },
    MICROSOFT,
  );
}

/** Softmax attention without mask, with the keys and values it used: attended [B, S, D], key and value [B, H, S, Dh], biases added. */
export function attentionWithKeys(
  g: GraphBuilder,
  { qkv, bias, numHeads }: PackedAttention,
): { attended: Value; key: Value; value: Value } {
  const [query, key, value] = split(g, qkv, 3); // [B, S, D] each
  const [batch, positions, width] = [sizeOfAxis(query, 0), sizeOfAxis(query, 1), sizeOfAxis(query, 2)];
  if (typeof width !== 'number') throw new RangeError('the width of an attention is fixed');
  const heads = { type: 'float', shape: [batch, numHeads, positions, width / numHeads] } as const;
  const [attended, presentKey, presentValue] = g.node(
    'MultiHeadAttention',
    [query, key, value, g.weight(bias)],
    [{ type: 'float', shape: query.shape }, heads, heads],
    { num_heads: numHeads },
    MICROSOFT,
  );
  if (attended === undefined || presentKey === undefined || presentValue === undefined) {
    throw new RangeError('MultiHeadAttention has three results');
  }
  return { attended, key: presentKey, value: presentValue };
}
