/**
 * How well a text fits an image, by the Q-Former alone: contrastive features that are compared by a dot product (ITC), and
 * a head that reads image and text together (ITM). https://arxiv.org/abs/2301.12597
 *
 * B rows, I images, N image embeddings of width Dv, Q query tokens, T text tokens, D hidden size, P size of the contrastive features.
 */
import { layerNorm, linear } from '../graph/operators.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import { keyMask } from '../graph/padded-attention.ts';
import { firstRow, l2Normalize, meanOfRows } from '../graph/rows.ts';
import type { Weight } from '../read/weight.ts';
import type { CheckpointWeights } from '../read/weights.ts';
import type { QFormerConfig } from './qformer-config.ts';
import { attend, embedText, feedForward, queriesAlone, queriesWithText, textWeightsOf } from './qformer-layers.ts';
import {
  countQueries,
  takeQFormerWeights,
  takeTextEmbeddings,
  type QFormerWeights,
  type TextEmbeddingWeights,
} from './qformer-weights.ts';

type LinearWeights = { weight: Weight; bias: Weight };

/** Everything the three graphs are built from; what they share is stored once. */
export type MatchingWeights = {
  qformer: QFormerWeights;
  text: TextEmbeddingWeights;
  /** [P, D] each */
  visionProjection: LinearWeights;
  textProjection: LinearWeights;
  /** [2, D]: no match, match. */
  itmHead: LinearWeights;
};

/** @param weights the whole checkpoint: `query_tokens`, `qformer.*` with its text branch, both projections and `itm_head.*` */
export function takeMatchingWeights(
  weights: CheckpointWeights,
  config: QFormerConfig,
  numQueryTokens: number,
): MatchingWeights {
  const D = config.hiddenSize;
  const P = weights.rows('vision_projection.weight');
  const takeLinear = (name: string, outputs: number): LinearWeights => ({
    weight: weights.take(`${name}.weight`, [outputs, D]),
    bias: weights.take(`${name}.bias`, [outputs]),
  });
  return {
    qformer: takeQFormerWeights(weights, config, numQueryTokens, config.numHiddenLayers),
    text: takeTextEmbeddings(weights, config),
    visionProjection: takeLinear('vision_projection', P),
    textProjection: takeLinear('text_projection', P),
    itmHead: takeLinear('itm_head', 2),
  };
}

/** Builds `itc_image`: image_embeds [B, N, Dv] -> query_output [B, Q, D] and image_features [B, Q, P], each of length 1. */
export function buildItcImage(
  g: GraphBuilder,
  { qformer, visionProjection }: MatchingWeights,
  config: QFormerConfig,
  imageTokenCount: number,
): void {
  const imageEmbeds = g.input('image_embeds', 'float', ['B', imageTokenCount, config.encoderHiddenSize]); // [B, N, Dv]
  const queryOutput = queriesAlone(g, qformer, config, { imageEmbeds, imageIndices: undefined }); // [B, Q, D]
  g.output('query_output', queryOutput); // [B, Q, D]
  const projected = linear(g, queryOutput, visionProjection.weight, visionProjection.bias); // [B, Q, P]
  g.output('image_features', l2Normalize(g, projected)); // [B, Q, P]
}

/** Builds `itc_text`: input_ids [B, T] and attention_mask [B, T] -> text_features [B, P] of length 1, from the first token of each text. */
export function buildItcText(
  g: GraphBuilder,
  { qformer, text, textProjection }: MatchingWeights,
  config: QFormerConfig,
): void {
  const inputIds = g.input('input_ids', 'int64', ['B', 'T']); // [B, T]
  const mask = keyMask(g, g.input('attention_mask', 'int64', ['B', 'T']), 0); // [B, T]
  let hidden = layerNorm(g, embedText(g, text, inputIds), qformer.embeddingNorm, config.layerNormEps); // [B, T, D]
  for (const [n, { attention, textFeedForward }] of qformer.layers.entries()) {
    // Of the last layer only the first token is read, which still looks at all others.
    const isLast = n === qformer.layers.length - 1;
    hidden = attend(g, attention, hidden, config, { mask, keep: isLast ? firstRow : undefined }); // [B, T, D], at the end [B, D]
    hidden = feedForward(g, textWeightsOf(textFeedForward), hidden, config); // [B, T, D], at the end [B, D]
  }
  const projected = linear(g, hidden, textProjection.weight, textProjection.bias); // [B, P]
  g.output('text_features', l2Normalize(g, projected)); // [B, P]
}

/**
 * Builds `itm`: image_embeds [I, N, Dv], image_indices [B], input_ids [B, T] and attention_mask [B, T] -> itm_logits [B, 2].
 *
 * Each row is an image and a text; `image_indices` says which image, so that several texts share its keys and values.
 */
export function buildItm(
  g: GraphBuilder,
  { qformer, text, itmHead }: MatchingWeights,
  config: QFormerConfig,
  imageTokenCount: number,
): void {
  const imageEmbeds = g.input('image_embeds', 'float', ['I', imageTokenCount, config.encoderHiddenSize]); // [I, N, Dv]
  const imageIndices = g.input('image_indices', 'int64', ['B']); // [B]
  const inputIds = g.input('input_ids', 'int64', ['B', 'T']); // [B, T]
  const mask = keyMask(g, g.input('attention_mask', 'int64', ['B', 'T']), countQueries(qformer)); // [B, Q + T]

  const embedded = embedText(g, text, inputIds); // [B, T, D]
  const queryOutput = queriesWithText(g, qformer, config, { imageEmbeds, imageIndices }, embedded, mask); // [B, Q, D]
  // The mean over the queries of what the head yields is what it yields for their mean.
  g.output('itm_logits', linear(g, meanOfRows(g, queryOutput), itmHead.weight, itmHead.bias)); // [B, 2]
}
