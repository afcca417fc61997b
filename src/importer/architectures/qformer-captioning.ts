/**
 * The Q-Former as a language model (ITG): text is written token by token, and sees the queries as a prefix. The queries see only
 * each other and the image, so their keys and values are computed once per image. https://arxiv.org/abs/2301.12597
 *
 * Only checkpoints of the first stage hold the output head. B rows, N image embeddings of width Dv, Q query tokens, S new positions, M length
 * of the cache, H heads of size Dh, D hidden size, V vocabulary rows.
 */
import {
  add,
  biasErfGelu,
  layerNorm,
  linear,
  linearWithoutBias,
  positionOfEachRow,
  split,
  type NormWeights,
} from '../graph/operators.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import { cachedAttention, cacheMasks, type CacheMasks } from '../graph/cached-attention.ts';
import { declareDecoderInputs, layerCache } from '../graph/decoder-inputs.ts';
import { attentionWithKeys } from '../graph/padded-attention.ts';
import { withBatchOf } from '../graph/rows.ts';
import type { Value } from '../graph/value.ts';
import type { LanguageDeclaration } from '../../pack/model-declaration.ts';
import { rowsOf, type Weight } from '../read/weight.ts';
import type { CheckpointWeights } from '../read/weights.ts';
import { declareDecoder } from './language-architecture.ts';
import type { QFormerConfig } from './qformer-config.ts';
import { crossAttention, feedForward, packedAttention, postNorm, textWeightsOf } from './qformer-layers.ts';
import type { QFormerWeights, TextEmbeddingWeights } from './qformer-weights.ts';

/** The output head: a layer with its norm, then a row for each token. */
export type LanguageHeadWeights = {
  transform: { weight: Weight; bias: Weight };
  norm: NormWeights;
  /** [V, D] and [V] */
  decoderWeight: Weight;
  bias: Weight;
};

/** What a Q-Former that writes is declared as: its cache begins with the queries, and its positions count the text behind them. */
export function declareQFormer(
  { hiddenSize, numHiddenLayers, numAttentionHeads }: QFormerConfig,
  { wordEmbeddings, positionEmbeddings }: TextEmbeddingWeights,
  numQueryTokens: number,
): Omit<LanguageDeclaration, 'eosTokenIds'> {
  const sizes = declareDecoder({
    hiddenSize,
    numHiddenLayers,
    numAttentionHeads,
    numKeyValueHeads: numAttentionHeads,
    headDim: hiddenSize / numAttentionHeads,
    maxPositionEmbeddings: numQueryTokens + rowsOf(positionEmbeddings),
  });
  return { ...sizes, vocabSize: rowsOf(wordEmbeddings) };
}

/** Whether the checkpoint holds the output head. */
export function hasLanguageHead(weights: CheckpointWeights): boolean {
  return weights.has('qformer.cls.predictions.decoder.weight');
}

/** @param weights the whole checkpoint: `qformer.cls.predictions.*` */
export function takeLanguageHead(weights: CheckpointWeights, { hiddenSize: D }: QFormerConfig): LanguageHeadWeights {
  const predictions = weights.at('qformer.cls.predictions');
  const V = predictions.rows('decoder.weight');
  return {
    transform: predictions.takeLinear('transform.dense', D, D),
    norm: predictions.takeNorm('transform.LayerNorm', D),
    decoderWeight: predictions.take('decoder.weight', [V, D]),
    bias: predictions.take('bias', [V]),
  };
}

/**
 * Builds `itg_prefix`: image_embeds [B, N, Dv] -> present.n.key and present.n.value [B, H, Q, Dh] of the query rows in each layer n.
 *
 * What does not depend on the image yet has batch size 1: it is folded into a constant when the graph is loaded.
 */
export function buildItgPrefix(
  g: GraphBuilder,
  weights: QFormerWeights,
  config: QFormerConfig,
  imageTokenCount: number,
): void {
  const imageEmbeds = g.input('image_embeds', 'float', ['B', imageTokenCount, config.encoderHiddenSize]); // [B, N, Dv]
  const images = { imageEmbeds, imageIndices: undefined };
  const queryTokens = g.weight(weights.queryTokens); // [1, Q, D]
  let hidden = layerNorm(g, queryTokens, weights.embeddingNorm, config.layerNormEps); // [1, Q, D]
  for (const [n, layer] of weights.layers.entries()) {
    const { attended, key, value } = attentionWithKeys(g, packedAttention(g, layer.attention, hidden, config)); // [1|B, Q, D], [1|B, H, Q, Dh]
    g.output(`present.${n}.key`, withBatchOf(g, key, imageEmbeds)); // [B, H, Q, Dh]
    g.output(`present.${n}.value`, withBatchOf(g, value, imageEmbeds)); // [B, H, Q, Dh]
    // The last keys and values are all that is wanted of the queries.
    if (n === weights.layers.length - 1) break;
    hidden = postNorm(g, layer.attention.output, attended, hidden, config); // [1|B, Q, D]
    if (layer.crossattention !== undefined) {
      hidden = crossAttention(g, layer.crossattention, hidden, images, config); // [B, Q, D]
    }
    hidden = feedForward(g, layer.queryFeedForward, hidden, config); // [B, Q, D]
  }
}

/**
 * Builds `itg_decoder`: inputs_embeds (word embeddings) and the cache -> logits [B, V] of one position of each row, and the updated cache.
 *
 * A row's cache begins with the Q positions of `itg_prefix`; position_ids count the text alone, from 0.
 */
export function buildItgDecoder(
  g: GraphBuilder,
  weights: QFormerWeights,
  text: TextEmbeddingWeights,
  head: LanguageHeadWeights,
  config: QFormerConfig,
): void {
  const { hiddenSize: D, numAttentionHeads: H, layerNormEps } = config;
  const inputs = declareDecoderInputs(g, D);
  const heads = { numAttentionHeads: H, numKeyValueHeads: H, headDim: D / H };
  let masks: CacheMasks | undefined;
  const embedded = add(g, inputs.inputsEmbeds, g.gatherRows(text.positionEmbeddings, inputs.positionIds)); // [B, S, D]
  let hidden = layerNorm(g, embedded, weights.embeddingNorm, layerNormEps); // [B, S, D]

  for (const [n, { attention, textFeedForward }] of weights.layers.entries()) {
    const qkv = linear(g, hidden, attention.qkvWeight, attention.qkvBias); // [B, S, 3D]
    const [query, key, value] = split(g, qkv, 3); // [B, S, D] each
    const cache = layerCache(g, n, H, D / H); // [B, H, C, Dh] each
    masks ??= cacheMasks(g, { ...inputs, ...cache }, heads);
    let attended = cachedAttention(g, n, { query, key, value, ...cache }, masks, heads); // [B, S, D]
    if (n === weights.layers.length - 1) {
      attended = positionOfEachRow(g, attended, inputs.logitPositions); // [B, D]
      hidden = positionOfEachRow(g, hidden, inputs.logitPositions); // [B, D]
    }
    hidden = postNorm(g, attention.output, attended, hidden, config); // [B, S, D], at the end [B, D]
    hidden = feedForward(g, textWeightsOf(textFeedForward), hidden, config); // [B, S, D], at the end [B, D]
  }
  g.output('logits', predictTokens(g, head, hidden, layerNormEps)); // [B, V]
}

function predictTokens(g: GraphBuilder, head: LanguageHeadWeights, hidden: Value, epsilon: number): Value {
  const inner = linearWithoutBias(g, hidden, head.transform.weight); // [B, D]
  const activated = biasErfGelu(g, inner, head.transform.bias); // [B, D]
  const normalized = layerNorm(g, activated, head.norm, epsilon); // [B, D]
  return linear(g, normalized, head.decoderWeight, head.bias); // [B, V]
}
