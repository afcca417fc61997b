/**
 * Q-Former with queries only, and the projection into the language model (spec 2.1, 2.2a, 3; BLIP-2, https://arxiv.org/abs/2301.12597;
 * LAVIS Qformer.py). BERT layers, post-norm; every second layer looks at the image.
 *
 * Up to the first look at the image nothing depends on it: that part is built for batch size 1, folded into a constant when the
 * graph is loaded, and repeated for the batch only then.
 *
 * B images, N image tokens of width Dv, Q query tokens of width D, d hidden size of the language model.
 */
import {
  attention,
  biasErfGelu,
  layerNorm,
  linear,
  linearWithoutBias,
  repeatForBatch,
  skipLayerNorm,
  split,
} from '../graph/operators.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import type { Value } from '../graph/value.ts';
import { concatRows, type CheckpointWeights, type WeightCursor } from '../read/weights.ts';
import type { QFormerConfig } from './blip2-config.ts';

/**
 * Builds `qformer`: image_embeds [B, N, Dv] -> query_output [B, Q, D] and image_tokens [B, Q, d].
 *
 * @param weights the whole checkpoint: `query_tokens`, `qformer.*` and `language_projection.*`
 */
export function buildQFormer(
  g: GraphBuilder,
  weights: CheckpointWeights,
  config: QFormerConfig,
  numQueryTokens: number,
  imageTokenCount: number,
  languageHiddenSize: number,
): void {
  const { hiddenSize: D, encoderHiddenSize, numHiddenLayers, layerNormEps } = config;
  const qformer = weights.at('qformer');
  const imageEmbeds = g.input('image_embeds', 'float', ['B', imageTokenCount, encoderHiddenSize]); // [B, N, Dv]
  const queryTokens = g.weight(weights.take('query_tokens', [1, numQueryTokens, D])); // [1, Q, D]

  let hidden = layerNorm(g, queryTokens, qformer.takeNorm('layernorm', D), layerNormEps); // [1, Q, D]
  for (let n = 0; n < numHiddenLayers; n++) {
    const layer = qformer.at(`encoder.layer.${n}`);
    hidden = selfAttention(g, layer.at('attention'), hidden, config); // [1|B, Q, D]
    if (n % config.crossAttentionFrequency === 0) {
      hidden = crossAttention(g, layer.at('crossattention'), hidden, imageEmbeds, config); // [B, Q, D]
    }
    hidden = feedForward(g, layer, hidden, config); // [B, Q, D]
  }
  g.output('query_output', hidden); // [B, Q, D]

  const projection = weights.at('language_projection');
  const weight = projection.take('weight', [languageHiddenSize, D]);
  g.output('image_tokens', linear(g, hidden, weight, projection.take('bias', [languageHiddenSize]))); // [B, Q, d]
}

function selfAttention(g: GraphBuilder, weights: WeightCursor, hidden: Value, config: QFormerConfig): Value {
  const { hiddenSize: D, numAttentionHeads, layerNormEps } = config;
  const [query, key, value] = ['query', 'key', 'value'].map((name) => weights.at(`attention.${name}`)) as [
    WeightCursor,
    WeightCursor,
    WeightCursor,
  ];
  const qkvWeight = concatRows(query.take('weight', [D, D]), key.take('weight', [D, D]), value.take('weight', [D, D]));
  const qkvBias = concatRows(query.take('bias', [D]), key.take('bias', [D]), value.take('bias', [D]));
  const [q, k, v] = split(g, linearWithoutBias(g, hidden, qkvWeight), 3) as [Value, Value, Value]; // [B, Q, D] each
  const attended = attention(g, q, k, v, qkvBias, numAttentionHeads); // [B, Q, D]
  return postNorm(g, weights.at('output'), attended, hidden, D, layerNormEps); // [B, Q, D]
}

function crossAttention(
  g: GraphBuilder,
  weights: WeightCursor,
  hidden: Value,
  imageEmbeds: Value,
  config: QFormerConfig,
): Value {
  const { hiddenSize: D, encoderHiddenSize, numAttentionHeads, layerNormEps } = config;
  const [query, key, value] = ['query', 'key', 'value'].map((name) => weights.at(`attention.${name}`)) as [
    WeightCursor,
    WeightCursor,
    WeightCursor,
  ];
  const kvWeight = concatRows(key.take('weight', [D, encoderHiddenSize]), value.take('weight', [D, encoderHiddenSize]));
  const bias = concatRows(query.take('bias', [D]), key.take('bias', [D]), value.take('bias', [D]));
  const forBatch = (x: Value): Value => (x.shape[0] === 1 ? repeatForBatch(g, x, imageEmbeds) : x);
  const q = forBatch(linearWithoutBias(g, hidden, query.take('weight', [D, D]))); // [B, Q, D]
  const [k, v] = split(g, linearWithoutBias(g, imageEmbeds, kvWeight), 2) as [Value, Value]; // [B, N, D] each
  const attended = attention(g, q, k, v, bias, numAttentionHeads); // [B, Q, D]
  return postNorm(g, weights.at('output'), attended, forBatch(hidden), D, layerNormEps); // [B, Q, D]
}

function feedForward(g: GraphBuilder, weights: WeightCursor, hidden: Value, config: QFormerConfig): Value {
  const { hiddenSize: D, intermediateSize, layerNormEps } = config;
  const intermediate = weights.at('intermediate_query.dense');
  const inner = linearWithoutBias(g, hidden, intermediate.take('weight', [intermediateSize, D])); // [B, Q, 4D]
  const activated = biasErfGelu(g, inner, intermediate.take('bias', [intermediateSize])); // [B, Q, 4D]
  return postNorm(g, weights.at('output_query'), activated, hidden, intermediateSize, layerNormEps); // [B, Q, D]
}

/** `layerNorm(dense(x) + residual)`. */
function postNorm(
  g: GraphBuilder,
  weights: WeightCursor,
  x: Value,
  residual: Value,
  inputs: number,
  epsilon: number,
): Value {
  const D = residual.shape.at(-1) as number;
  const dense = linearWithoutBias(g, x, weights.take('dense.weight', [D, inputs]));
  return skipLayerNorm(g, dense, residual, weights.take('dense.bias', [D]), weights.takeNorm('LayerNorm', D), epsilon)
    .normalized;
}
