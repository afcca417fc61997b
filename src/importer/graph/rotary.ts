/**
 * Rotary positions (https://arxiv.org/abs/2104.09864) in the half-split layout of the Hugging Face checkpoints: feature i is turned together
 * with feature i + R/2, by the angle position · theta^(-2i/R). R may be less than the head size; the features behind stay as they are.
 */
import { computedWeight } from '../read/weight.ts';
import { MICROSOFT, type GraphBuilder } from './builder.ts';
import type { Value } from './value.ts';

export type RotaryConfig = { maxPositionEmbeddings: number; ropeTheta: number };

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

/**
 * Turns the first R features of each head by the angles of its position.
 *
 * An operator of its own: ONNX Runtime's attention could do it too, but only for head sizes that suit its kernels.
 *
 * @param x [B, S, heads·Dh] @param positionIds int64 [B, S]
 */
export function rotate(
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
