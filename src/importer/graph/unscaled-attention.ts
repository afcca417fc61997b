/**
 * Softmax attention as T5 has it: scores are not divided by the square root of the head size, and a bias may be added to them.
 *
 * B rows, S queries, T keys, C positions of the cache, H heads of size Dk.
 */
import { sizeOfAxis } from '../read/weight.ts';
import { MICROSOFT, type GraphBuilder } from './builder.ts';
import { concat, reshape } from './operators.ts';
import { MASKED } from './positions.ts';
import type { Dim, Value } from './value.ts';

const UNSCALED = { scale: { float: 1 }, mask_filter_value: { float: MASKED } } as const;

/**
 * Every query sees every key that is not padding.
 *
 * @param query [B, S, H·Dk]
 * @param key [B, T, H·Dk], or [B, H, T, Dk] from a cache; `value` likewise
 * @param keyMask int32: [B, T] with 0 for padding, or the number of keys of each row [B]
 * @param bias [1, H, S, T], added to the scores
 * @returns [B, S, H·Dk]
 */
export function unscaledAttention(
  g: GraphBuilder,
  { query, key, value, keyMask, bias }: { query: Value; key: Value; value: Value; keyMask: Value; bias?: Value },
  numHeads: number,
): Value {
  const inputs = [query, key, value, undefined, keyMask, ...(bias === undefined ? [] : [bias])];
  const attributes = { num_heads: numHeads, ...UNSCALED };
  return g.node1('MultiHeadAttention', inputs, { type: 'float', shape: query.shape }, attributes, MICROSOFT);
}

/**
 * One new query of each row over the keys of a cache and its own. The cache is only read: the new key and value are results of the graph, and
 * whoever owns the cache writes them where they belong.
 *
 * GroupQueryAttention, which writes them itself, is not used: it would have to give back the whole cache, and onnxruntime-node copies every
 * result into a new buffer, even one that was computed in place. Measured with 24 layers of 32 heads of 64, eight rows and 64 positions: 14 ms
 * in this way, 50 in that, of which 12 are arithmetic.
 *
 * @param query [B, 1, H·Dk], `key` and `value` likewise
 * @param pastKey [B, H, C, Dk]; its values must be numbers even where the bias masks them
 * @param bias [B, H, 1, C + 1], masking what a row has not written
 * @returns `attended` [B, 1, H·Dk]; `key` and `value` by head, [B, H, 1, Dk]
 */
export function attentionWithNewKey(
  g: GraphBuilder,
  inputs: { query: Value; key: Value; value: Value; pastKey: Value; pastValue: Value; bias: Value },
): { attended: Value; key: Value; value: Value } {
  const { pastKey, pastValue, bias } = inputs;
  const [batch, heads, headDim] = [sizeOfAxis(pastKey, 0), sizeOfAxis(pastKey, 1), sizeOfAxis(pastKey, 3)];
  const scoresOf = (width: Dim): Omit<Value, 'name'> => ({ type: 'float', shape: [batch, heads, 1, width] });
  const byHead = (x: Value): Value => reshape(g, x, [0, Number(heads), 1, Number(headDim)], [batch, heads, 1, headDim]);
  const [query, key, value] = [byHead(inputs.query), byHead(inputs.key), byHead(inputs.value)]; // [B, H, 1, Dk]

  const pastScores = g.node1('FusedMatMul', [query, pastKey], scoresOf('C'), { transB: 1 }, MICROSOFT); // [B, H, 1, C]
  const ownScore = g.node1('FusedMatMul', [query, key], scoresOf(1), { transB: 1 }, MICROSOFT); // [B, H, 1, 1]
  const scores = concat(g, [pastScores, ownScore], 3, 'C + 1'); // [B, H, 1, C + 1]
  const biased = g.node1('Add', [scores, bias], scoresOf('C + 1')); // [B, H, 1, C + 1]
  const weights = g.node1('Softmax', [biased], scoresOf('C + 1'), { axis: -1 }); // [B, H, 1, C + 1]

  const upToLast = [weights, g.int64([0]), g.int64([-1]), g.int64([3])];
  const pastWeights = g.node1('Slice', upToLast, scoresOf('C')); // [B, H, 1, C]
  const onlyLast = [weights, g.int64([-1]), g.int64([Number.MAX_SAFE_INTEGER]), g.int64([3])];
  const ownWeight = g.node1('Slice', onlyLast, scoresOf(1)); // [B, H, 1, 1]
  const ofPast = g.node1('MatMul', [pastWeights, pastValue], scoresOf(headDim)); // [B, H, 1, Dk]
  const ofItself = g.node1('Mul', [ownWeight, value], scoresOf(headDim)); // [B, H, 1, Dk]
  const sum = g.node1('Add', [ofPast, ofItself], scoresOf(headDim)); // [B, H, 1, Dk]
  const attended = reshape(g, sum, [0, 1, -1], inputs.query.shape); // [B, 1, H·Dk]
  return { attended, key, value };
}
