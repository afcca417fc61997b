/**
 * The weights of a Q-Former, taken once with their shapes: several graphs may be built from them, and store them once.
 *
 * Q query tokens, D hidden size, F feed-forward size, Dv width of the image embeddings, V rows of the word embeddings, M learned positions.
 */
import type { NormWeights } from '../graph/operators.ts';
import { concatRows, sizeOfAxis, type Weight } from '../read/weight.ts';
import type { CheckpointWeights, WeightCursor } from '../read/weights.ts';
import type { QFormerConfig } from './qformer-config.ts';

/** What closes a sub-layer of BERT: a linear layer, then the norm of its sum with what entered the sub-layer. */
export type PostNormWeights = { weight: Weight; bias: Weight; norm: NormWeights };

export type SelfAttentionWeights = {
  /** [3D, D] and [3D]: queries, keys and values in a row. */
  qkvWeight: Weight;
  qkvBias: Weight;
  output: PostNormWeights;
};

export type CrossAttentionWeights = {
  /** [D, D] */
  queryWeight: Weight;
  /** [2D, Dv]: keys and values in a row. */
  kvWeight: Weight;
  /** [3D]: the biases of queries, keys and values in a row. */
  bias: Weight;
  output: PostNormWeights;
};

export type FeedForwardWeights = { weight: Weight; bias: Weight; output: PostNormWeights };

export type QFormerLayerWeights = {
  attention: SelfAttentionWeights;
  /** Undefined in the layers that do not look at the image. */
  crossattention: CrossAttentionWeights | undefined;
  /** Undefined where no text rows pass through this layer. */
  textFeedForward: FeedForwardWeights | undefined;
  queryFeedForward: FeedForwardWeights;
};

export type QFormerWeights = {
  /** [1, Q, D] */
  queryTokens: Weight;
  /** Over queries and text alike, before the first layer. */
  embeddingNorm: NormWeights;
  layers: readonly QFormerLayerWeights[];
};

export type TextEmbeddingWeights = {
  /** [V, D] */
  wordEmbeddings: Weight;
  /** [M, D] */
  positionEmbeddings: Weight;
};

/**
 * Takes the query tokens and the layers.
 *
 * @param weights the whole checkpoint: `query_tokens` and `qformer.*`
 * @param textLayers the first layers that text rows pass through as a whole: none without text, all of them where the output of text rows is
 *   wanted, all but the last where only the output of query rows is
 */
export function takeQFormerWeights(
  weights: CheckpointWeights,
  config: QFormerConfig,
  numQueryTokens: number,
  textLayers: number,
): QFormerWeights {
  const { hiddenSize: D, numHiddenLayers } = config;
  const qformer = weights.at('qformer');
  return {
    queryTokens: weights.take('query_tokens', [1, numQueryTokens, D]),
    embeddingNorm: qformer.takeNorm('layernorm', D),
    layers: Array.from({ length: numHiddenLayers }, (_, n) =>
      takeLayer(qformer.at(`encoder.layer.${n}`), config, {
        looksAtImage: n % config.crossAttentionFrequency === 0,
        readsText: n < textLayers,
      }),
    ),
  };
}

/** Q */
export function countQueries({ queryTokens }: QFormerWeights): number {
  return sizeOfAxis(queryTokens, 1);
}

/** Takes the tables that text begins with. Their heights are those of the tensors: published configs disagree with them. */
export function takeTextEmbeddings(weights: CheckpointWeights, { hiddenSize: D }: QFormerConfig): TextEmbeddingWeights {
  const embeddings = weights.at('qformer.embeddings');
  const table = (name: string): Weight => embeddings.take(name, [embeddings.rows(name), D]);
  return {
    wordEmbeddings: table('word_embeddings.weight'),
    positionEmbeddings: table('position_embeddings.weight'),
  };
}

function takeLayer(
  layer: WeightCursor,
  config: QFormerConfig,
  { looksAtImage, readsText }: { looksAtImage: boolean; readsText: boolean },
): QFormerLayerWeights {
  return {
    attention: takeSelfAttention(layer.at('attention'), config),
    crossattention: looksAtImage ? takeCrossAttention(layer.at('crossattention'), config) : undefined,
    queryFeedForward: takeFeedForward(layer, 'intermediate_query', 'output_query', config),
    textFeedForward: readsText ? takeFeedForward(layer, 'intermediate', 'output', config) : undefined,
  };
}

function takeSelfAttention(weights: WeightCursor, { hiddenSize: D }: QFormerConfig): SelfAttentionWeights {
  const { query, key, value } = takeProjections(weights, D, D);
  return {
    qkvWeight: concatRows(query.weight, key.weight, value.weight),
    qkvBias: concatRows(query.bias, key.bias, value.bias),
    output: takePostNorm(weights.at('output'), D, D),
  };
}

function takeCrossAttention(weights: WeightCursor, config: QFormerConfig): CrossAttentionWeights {
  const { hiddenSize: D, encoderHiddenSize: Dv } = config;
  const { query, key, value } = takeProjections(weights, D, Dv);
  return {
    queryWeight: query.weight,
    kvWeight: concatRows(key.weight, value.weight),
    bias: concatRows(query.bias, key.bias, value.bias),
    output: takePostNorm(weights.at('output'), D, D),
  };
}

/** @param keyInputs width of what keys and values are made of */
function takeProjections(
  weights: WeightCursor,
  D: number,
  keyInputs: number,
): Record<'query' | 'key' | 'value', { weight: Weight; bias: Weight }> {
  return {
    query: weights.takeLinear('attention.query', D, D),
    key: weights.takeLinear('attention.key', D, keyInputs),
    value: weights.takeLinear('attention.value', D, keyInputs),
  };
}

function takeFeedForward(
  layer: WeightCursor,
  intermediate: string,
  output: string,
  { hiddenSize: D, intermediateSize: F }: QFormerConfig,
): FeedForwardWeights {
  const inner = layer.takeLinear(`${intermediate}.dense`, F, D);
  return { ...inner, output: takePostNorm(layer.at(output), D, F) };
}

function takePostNorm(weights: WeightCursor, outputs: number, inputs: number): PostNormWeights {
  return { ...weights.takeLinear('dense', outputs, inputs), norm: weights.takeNorm('LayerNorm', outputs) };
}
