/**
 * Rotary positions (https://arxiv.org/abs/2104.09864) in the half-split layout of the Hugging Face checkpoints: feature i is turned together
 * with feature i + R/2, by the angle position · theta^(-2i/R). R may be less than the head size; the features behind stay as they are.
 */
import { computedWeight } from '../read/weight.ts';
import { MICROSOFT, type GraphBuilder } from './builder.ts';
import type { CachedAttentionInputs } from './operators.ts';
import type { Value } from './value.ts';

export type RotaryConfig = {
  numAttentionHeads: number;
  numKeyValueHeads: number;
  headDim: number;
  maxPositionEmbeddings: number;
  ropeTheta: number;
};

/** Cosines and sines of every position, [maxPositionEmbeddings, R/2] each. */
export type RotaryTables = { cos: Value; sin: Value; rotaryDim: number };

/** @param rotaryDim R, an even number: how many features of each head are turned. */
export function buildRotaryTables(g: GraphBuilder, config: RotaryConfig, rotaryDim: number): RotaryTables {
  const { maxPositionEmbeddings, ropeTheta } = config;
  const half = rotaryDim / 2;
  const cos = new Float32Array(maxPositionEmbeddings * half);
  const sin = new Float32Array(maxPositionEmbeddings * half);
  for (let i = 0; i < half; i++) {
    // The reference keeps the frequencies in float32, which a late position multiplies.
    const frequency = Math.fround(1 / Math.fround(ropeTheta ** ((2 * i) / rotaryDim)));
    for (let position = 0; position < maxPositionEmbeddings; position++) {
      const angle = Math.fround(position * frequency);
      cos[position * half + i] = Math.cos(angle);
      sin[position * half + i] = Math.sin(angle);
    }
  }
  const shape = [maxPositionEmbeddings, half];
  return {
    cos: g.weight(computedWeight('rotary.cos', shape, cos)),
    sin: g.weight(computedWeight('rotary.sin', shape, sin)),
    rotaryDim,
  };
}

/** Queries [B, S, H·Dh], keys and values [B, S, Hk·Dh] of the new positions, biases added, with the cache they join. */
export type RotaryAttentionInputs = Omit<CachedAttentionInputs, 'qkv'> & {
  query: Value;
  key: Value;
  value: Value;
  /** int64 [B, S] */
  positionIds: Value;
};

/**
 * Causal attention over a cache, with rotary positions. Declares the updated cache as graph outputs.
 *
 * Queries and keys are turned by an operator of their own: the attention could do it too, but only for head sizes that suit its kernels.
 *
 * @returns [B, S, H·Dh]
 */
export function rotaryAttention(
  g: GraphBuilder,
  layer: number,
  inputs: RotaryAttentionInputs,
  config: RotaryConfig,
  rotary: RotaryTables,
): Value {
  const { pastKey, pastValue, seqlensK, totalSequenceLength, positionIds } = inputs;
  const { numAttentionHeads, numKeyValueHeads } = config;
  const query = rotate(g, inputs.query, positionIds, numAttentionHeads, rotary); // [B, S, H·Dh]
  const key = rotate(g, inputs.key, positionIds, numKeyValueHeads, rotary); // [B, S, Hk·Dh]
  const [attended, presentKey, presentValue] = g.node(
    'GroupQueryAttention',
    [query, key, inputs.value, pastKey, pastValue, seqlensK, totalSequenceLength],
    [
      { type: 'float', shape: query.shape },
      { type: 'float', shape: pastKey.shape, name: `present.${layer}.key` },
      { type: 'float', shape: pastValue.shape, name: `present.${layer}.value` },
    ],
    { num_heads: numAttentionHeads, kv_num_heads: numKeyValueHeads },
    MICROSOFT,
  );
  if (attended === undefined || presentKey === undefined || presentValue === undefined) {
    throw new RangeError('GroupQueryAttention has three results');
  }
  g.declareOutput(presentKey);
  g.declareOutput(presentValue);
  return attended;
}

/** Turns the first R features of each head by the angles of its position. */
function rotate(
  g: GraphBuilder,
  x: Value,
  positionIds: Value,
  heads: number,
  { cos, sin, rotaryDim }: RotaryTables,
): Value {
  return g.node1(
    'RotaryEmbedding',
    [x, positionIds, cos, sin],
    { type: 'float', shape: x.shape },
    { interleaved: 0, num_heads: heads, rotary_embedding_dim: rotaryDim },
    MICROSOFT,
  );
}
