/**
 * What the layers of a Q-Former do (BERT, https://arxiv.org/abs/1810.04805; LAVIS Qformer.py): post-norm, queries and text in one
 * self-attention, cross-attention to the image for queries alone, and a feed-forward part of its own for each of them.
 *
 * B rows of the batch, I images, N image embeddings of width Dv, Q query tokens, T text tokens, S = Q, T or Q + T positions, D hidden size.
 */
import {
  add,
  attention,
  biasErfGelu,
  concat,
  layerNorm,
  linearWithoutBias,
  skipLayerNorm,
  split,
} from '../graph/operators.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import { paddedAttention, type PackedAttention } from '../graph/padded-attention.ts';
import { countPositions, selectSequences, cutRows, withBatchOf } from '../graph/rows.ts';
import type { Value } from '../graph/value.ts';
import { sizeOfAxis } from '../read/weight.ts';
import type { QFormerConfig } from './qformer-config.ts';
import {
  countQueries,
  type CrossAttentionWeights,
  type FeedForwardWeights,
  type PostNormWeights,
  type QFormerWeights,
  type SelfAttentionWeights,
  type TextEmbeddingWeights,
} from './qformer-weights.ts';

/** What queries look at. */
export type QueriedImages = {
  /** [I, N, Dv] */
  imageEmbeds: Value;
  /** int64 [B]: the image of each row; undefined where rows and images are the same. */
  imageIndices: Value | undefined;
};

/** Word and position embeddings, positions counted from 0: ids int64 [B, T] -> [B, T, D], not yet normalised. */
export function embedText(g: GraphBuilder, weights: TextEmbeddingWeights, ids: Value): Value {
  const words = g.gatherRows(weights.wordEmbeddings, ids); // [B, T, D]
  const positions = g.gatherRows(weights.positionEmbeddings, countPositions(g, ids)); // [T, D]
  return add(g, words, positions); // [B, T, D]
}

/**
 * Queries and text through all layers, as far as the output of the queries needs them.
 *
 * @param text embeddings of the text [B, T, D], not yet normalised
 * @param mask of `keyMask`: all queries, and the text without its padding
 * @returns the output of the query rows, [B, Q, D]
 */
export function queriesWithText(
  g: GraphBuilder,
  weights: QFormerWeights,
  config: QFormerConfig,
  images: QueriedImages,
  text: Value,
  mask: Value,
): Value {
  const Q = countQueries(weights);
  const queryTokens = withBatchOf(g, g.weight(weights.queryTokens), text); // [B, Q, D]
  const embedded = concat(g, [queryTokens, text], 1, 'Q+T'); // [B, Q + T, D]
  let sequence = layerNorm(g, embedded, weights.embeddingNorm, config.layerNormEps); // [B, Q + T, D]
  let queries = queryTokens; // [B, Q, D]

  for (const [n, layer] of weights.layers.entries()) {
    const attended = attend(g, layer.attention, sequence, config, { mask }); // [B, Q + T, D]
    queries = cutRows(g, attended, 0, Q, Q); // [B, Q, D]
    if (layer.crossattention !== undefined) {
      queries = crossAttention(g, layer.crossattention, queries, images, config); // [B, Q, D]
    }
    queries = feedForward(g, layer.queryFeedForward, queries, config); // [B, Q, D]
    // Nobody reads the text rows of the last layer.
    if (n === weights.layers.length - 1) break;
    const textRows = cutRows(g, attended, Q, sizeOfAxis(text, 1)); // [B, T, D]
    const textOutput = feedForward(g, textWeightsOf(layer.textFeedForward), textRows, config); // [B, T, D]
    sequence = concat(g, [queries, textOutput], 1, 'Q+T'); // [B, Q + T, D]
  }
  return queries; // [B, Q, D]
}

/** Queries alone through all layers. Up to the first look at the image nothing depends on it, and the batch size is 1. */
export function queriesAlone(
  g: GraphBuilder,
  weights: QFormerWeights,
  config: QFormerConfig,
  images: QueriedImages,
): Value {
  const queryTokens = g.weight(weights.queryTokens); // [1, Q, D]
  let hidden = layerNorm(g, queryTokens, weights.embeddingNorm, config.layerNormEps); // [1, Q, D]
  for (const layer of weights.layers) {
    hidden = attend(g, layer.attention, hidden, config); // [1|B, Q, D]
    if (layer.crossattention !== undefined) {
      hidden = crossAttention(g, layer.crossattention, hidden, images, config); // [B, Q, D]
    }
    hidden = feedForward(g, layer.queryFeedForward, hidden, config); // [B, Q, D]
  }
  return hidden; // [B, Q, D]
}

/**
 * The self-attention part of a layer: [B, S, D] -> [B, S, D].
 *
 * @param mask of `keyMask`; without one every position counts
 * @param keep the rows whose output is wanted, of all that are looked at
 */
export function attend(
  g: GraphBuilder,
  weights: SelfAttentionWeights,
  hidden: Value,
  config: QFormerConfig,
  { mask, keep = (_, x) => x }: { mask?: Value; keep?: ((g: GraphBuilder, x: Value) => Value) | undefined } = {},
): Value {
  const attended = paddedAttention(g, packedAttention(g, weights, hidden, config), mask); // [B, S, D]
  return postNorm(g, weights.output, keep(g, attended), keep(g, hidden), config); // [B, S, D], or what is kept of it
}

/** Queries, keys and values of the same positions. */
export function packedAttention(
  g: GraphBuilder,
  weights: SelfAttentionWeights,
  hidden: Value,
  config: QFormerConfig,
): PackedAttention {
  const qkv = linearWithoutBias(g, hidden, weights.qkvWeight); // [B, S, 3D]
  return { qkv, bias: weights.qkvBias, numHeads: config.numAttentionHeads };
}

/** Queries [1|B, Q, D] look at the image embeddings, whose keys and values are computed once per image, however many rows look at it. */
export function crossAttention(
  g: GraphBuilder,
  weights: CrossAttentionWeights,
  queries: Value,
  { imageEmbeds, imageIndices }: QueriedImages,
  config: QFormerConfig,
): Value {
  const rows = imageIndices ?? imageEmbeds;
  const query = withBatchOf(g, linearWithoutBias(g, queries, weights.queryWeight), rows); // [B, Q, D]
  const ofRow = (x: Value): Value => (imageIndices === undefined ? x : selectSequences(g, x, imageIndices));
  const ofImages = split(g, linearWithoutBias(g, imageEmbeds, weights.kvWeight), 2); // [I, N, D] each
  const [key, value] = [ofRow(ofImages[0]), ofRow(ofImages[1])]; // [B, N, D] each
  const attended = attention(g, query, key, value, weights.bias, config.numAttentionHeads); // [B, Q, D]
  return postNorm(g, weights.output, attended, withBatchOf(g, queries, rows), config); // [B, Q, D]
}

/** The feed-forward part of a layer: [.., D] -> [.., D]. */
export function feedForward(g: GraphBuilder, weights: FeedForwardWeights, hidden: Value, config: QFormerConfig): Value {
  const inner = linearWithoutBias(g, hidden, weights.weight); // [.., F]
  const activated = biasErfGelu(g, inner, weights.bias); // [.., F]
  return postNorm(g, weights.output, activated, hidden, config); // [.., D]
}

/** `layerNorm(dense(x) + residual)`. */
export function postNorm(
  g: GraphBuilder,
  weights: PostNormWeights,
  x: Value,
  residual: Value,
  { layerNormEps }: QFormerConfig,
): Value {
  const dense = linearWithoutBias(g, x, weights.weight); // [.., D]
  return skipLayerNorm(g, dense, residual, weights.bias, weights.norm, layerNormEps).normalized; // [.., D]
}

/** @throws RangeError when text passes through a layer whose text weights were not taken: a mistake of the caller. */
export function textWeightsOf(textFeedForward: FeedForwardWeights | undefined): FeedForwardWeights {
  if (textFeedForward === undefined) throw new RangeError('text passes through a layer without text weights');
  return textFeedForward;
}
