/** RMSNorm (https://arxiv.org/abs/1910.07467), as LLaMA and T5 have it: no mean, no bias, statistics in float32. */
import type { Weight } from '../read/weight.ts';
import type { GraphBuilder } from './builder.ts';
import type { Value } from './value.ts';

/** `x · rsqrt(mean(x²) + epsilon) · weight` over the last axis. */
export function rmsNorm(g: GraphBuilder, x: Value, weight: Weight, epsilon: number): Value {
  return g.node1(
    'SimplifiedLayerNormalization',
    [x, g.weight(weight)],
    { type: 'float', shape: x.shape },
    { axis: -1, epsilon: { float: epsilon } },
  );
}
