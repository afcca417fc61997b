/**
 * What every decoder-only graph is fed with, under one set of names: embeddings, lengths and the cache. `inputs_embeds`, `position_ids` and
 * `past_key_values` are called as in other exports of such models.
 */
import type { GraphBuilder } from './builder.ts';
import type { Value } from './value.ts';

export type DecoderInputs = {
  /** [B, S, d] */
  inputsEmbeds: Value;
  /** int64 [B, S]: where each new position stands in its row. */
  positionIds: Value;
  /** int64 [B]: the position of each row whose logits are wanted. */
  logitPositions: Value;
  /** int64 [B]: positions that each row has in the cache already. */
  pastLengths: Value;
};

/** Declares the inputs that do not belong to a layer. */
export function declareDecoderInputs(g: GraphBuilder, hiddenSize: number): DecoderInputs {
  return {
    inputsEmbeds: g.input('inputs_embeds', 'float', ['B', 'S', hiddenSize]),
    positionIds: g.input('position_ids', 'int64', ['B', 'S']),
    logitPositions: g.input('logit_positions', 'int64', ['B']),
    pastLengths: g.input('past_lengths', 'int64', ['B']),
  };
}

/** Declares the cache of one layer, [B, heads, C, headDim] for keys and values. */
export function layerCache(
  g: GraphBuilder,
  layer: number,
  heads: number,
  headDim: number,
): { pastKey: Value; pastValue: Value } {
  const shape = ['B', heads, 'C', headDim];
  return {
    pastKey: g.input(`past_key_values.${layer}.key`, 'float', shape),
    pastValue: g.input(`past_key_values.${layer}.value`, 'float', shape),
  };
}
