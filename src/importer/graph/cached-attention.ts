/**
 * Causal attention of new positions over a cache and over each other, for decoder-only models. The cache is only read: keys and values of the
 * new positions are results of the graph, and whoever owns the cache writes them where they belong.
 *
 * ONNX Runtime's GroupQueryAttention could write them itself, but then the whole cache is a result of every step, and onnxruntime-node copies
 * every result into a new buffer, even one that was computed in place: with 32 rows of 256 positions of a model of 256 features a step took
 * 48 ms instead of 18, and a large model would copy half a gigabyte for each token.
 *
 * B rows, S new positions, C positions of the cache, H heads of size Dh, Hk key/value heads that G = H / Hk query heads share.
 */
import { sizeOfAxis } from '../read/weight.ts';
import { MICROSOFT, type GraphBuilder } from './builder.ts';
import { concat, reshape, transpose } from './operators.ts';
import { countUpTo, maskFrom, sizeOf, subtract } from './positions.ts';
import type { Dim, Value } from './value.ts';

export type AttentionHeads = { numAttentionHeads: number; numKeyValueHeads: number; headDim: number };

/** What all layers need to know of the cache; computed once. */
export type CacheMasks = {
  /** [B, 1, 1, C]: added to the scores of the cache, masking what a row has not written. */
  past: Value;
  /** [G·S, S]: added to the scores of the new positions, masking later ones. */
  own: Value;
  /** int64 [2]: C and S. */
  sizes: Value;
};

/**
 * @param pastLengths int64 [B]: positions of the cache that are the row's
 * @param pastKey [B, Hk, C, Dh], read for C alone @param inputsEmbeds [B, S, d], read for S alone
 */
export function cacheMasks(
  g: GraphBuilder,
  inputs: { pastLengths: Value; pastKey: Value; inputsEmbeds: Value },
  heads: AttentionHeads,
): CacheMasks {
  const [C, S] = [sizeOf(g, inputs.pastKey, 2), sizeOf(g, inputs.inputsEmbeds, 1)];
  const lengths = reshape(g, inputs.pastLengths, [-1, 1, 1, 1], ['B', 1, 1, 1]); // [B, 1, 1, 1]
  const past = maskFrom(g, subtract(g, countUpTo(g, C), lengths, ['B', 1, 1, 'C']), 0); // [B, 1, 1, C]
  const positions = countUpTo(g, S); // [S]
  const queries = reshape(g, positions, [-1, 1], ['S', 1]); // [S, 1]
  const own = maskFrom(g, subtract(g, positions, queries, ['S', 'S']), 1); // [S, S]
  const groups = heads.numAttentionHeads / heads.numKeyValueHeads;
  const [sizeC, sizeS] = [reshape(g, C, [1], [1]), reshape(g, S, [1], [1])];
  return {
    past,
    own: groups === 1 ? own : concat(g, Array<Value>(groups).fill(own), 0, 'G·S'), // [G·S, S]
    sizes: concat(g, [sizeC, sizeS], 0, 2), // [2]
  };
}

/**
 * Scores are divided by the square root of the head size. Declares keys and values of the new positions, [B, Hk, S, Dh], as graph outputs.
 *
 * @param query [B, S, H·Dh], `key` and `value` [B, S, Hk·Dh], biases and positions applied
 * @param pastKey [B, Hk, C, Dh], which must be numbers even where the mask hides them
 * @returns [B, S, H·Dh]
 */
export function cachedAttention(
  g: GraphBuilder,
  layer: number,
  inputs: { query: Value; key: Value; value: Value; pastKey: Value; pastValue: Value },
  masks: CacheMasks,
  heads: AttentionHeads,
): Value {
  const { numAttentionHeads: H, numKeyValueHeads: Hk, headDim: Dh } = heads;
  const { pastKey, pastValue } = inputs;
  const [batch, S] = [sizeOfAxis(inputs.query, 0), sizeOfAxis(inputs.query, 1)];
  const key = byHead(g, inputs.key, Hk, Dh); // [B, Hk, S, Dh]
  const value = byHead(g, inputs.value, Hk, Dh); // [B, Hk, S, Dh]
  g.output(`present.${layer}.key`, key);
  g.output(`present.${layer}.value`, value);
  // Query heads that share keys stand below each other, as more rows of the same product.
  const queryHeads = byHead(g, inputs.query, H, Dh); // [B, H, S, Dh]
  const rows = H === Hk ? S : 'G·S';
  const query = H === Hk ? queryHeads : reshape(g, queryHeads, [0, Hk, -1, Dh], [batch, Hk, rows, Dh]); // [B, Hk, G·S, Dh]

  const shaped = (width: Dim): Omit<Value, 'name'> => ({ type: 'float', shape: [batch, Hk, rows, width] });
  const scoresOf = (keys: Value, mask: Value, width: Dim): Value => {
    const attributes = { transB: 1, alpha: { float: Dh ** -0.5 } };
    const scores = g.node1('FusedMatMul', [query, keys], shaped(width), attributes, MICROSOFT);
    return g.node1('Add', [scores, mask], shaped(width));
  };
  const scores = concat(g, [scoresOf(pastKey, masks.past, 'C'), scoresOf(key, masks.own, 'S')], 3, 'C + S'); // [B, Hk, G·S, C + S]
  const weights = g.node1('Softmax', [scores], shaped('C + S'), { axis: -1 }); // [B, Hk, G·S, C + S]
  const [ofPast, ofOwn] = g.node('Split', [weights, masks.sizes], [shaped('C'), shaped('S')], { axis: -1 }) as [
    Value,
    Value,
  ];
  const sum = g.node1(
    'Add',
    [g.node1('MatMul', [ofPast, pastValue], shaped(Dh)), g.node1('MatMul', [ofOwn, value], shaped(Dh))],
    shaped(Dh),
  ); // [B, Hk, G·S, Dh]
  const attended = H === Hk ? sum : reshape(g, sum, [0, H, -1, Dh], [batch, H, S, Dh]); // [B, H, S, Dh]
  return reshape(g, transpose(g, attended, [0, 2, 1, 3]), [0, 0, H * Dh], [batch, S, H * Dh]); // [B, S, H·Dh]
}

/** [B, S, heads·Dh] -> [B, heads, S, Dh] */
function byHead(g: GraphBuilder, x: Value, heads: number, Dh: number): Value {
  const [batch, S] = [sizeOfAxis(x, 0), sizeOfAxis(x, 1)];
  return transpose(g, reshape(g, x, [0, 0, heads, Dh], [batch, S, heads, Dh]), [0, 2, 1, 3]);
}
