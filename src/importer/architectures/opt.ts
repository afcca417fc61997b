/**
 * OPT, the decoder-only language model of BLIP-2 (https://arxiv.org/abs/2205.01068; transformers modeling_opt.py).
 * Pre-norm, learned positions, ReLU, output head tied to the token embeddings. Reads embeddings, so that image tokens can stand among them.
 *
 * B rows, S new positions, C positions of the cache, H heads of size Dh, d hidden size, F feed-forward size, V vocabulary rows.
 */
import type { ObjectReader } from '../../pack/object-reader.ts';
import {
  add,
  layerNorm,
  linear,
  linearWithoutBias,
  positionOfEachRow,
  relu,
  skipLayerNorm,
  split,
  type NormWeights,
} from '../graph/operators.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import { cachedAttention, cacheMasks, type CacheMasks } from '../graph/cached-attention.ts';
import { declareDecoderInputs, layerCache } from '../graph/decoder-inputs.ts';
import type { Value } from '../graph/value.ts';
import { concatRows, type Weight } from '../read/weight.ts';
import type { WeightCursor } from '../read/weights.ts';
import { attentionHeads, count, MOST, requireValue } from './config-keys.ts';
import { declareDecoder, HEAD_NAME, TIED_HEAD, type BuildableArchitecture } from './language-architecture.ts';

/** Learned position p stands in row p + 2 of its table: rows 0 and 1 are left over from fairseq's padding. */
const POSITION_OFFSET = 2;
const LAYER_NORM_EPS = 1e-5;

export const OPT: BuildableArchitecture<OptConfig> = {
  name: 'opt',
  modelTypes: ['opt'],
  names: [
    // Older files lack the outermost name.
    { pattern: /^(?:model\.)?decoder\./, name: 'language_model.model.decoder.' },
    HEAD_NAME,
  ],
  leftOver: [TIED_HEAD],
  defaultEosTokenIds: [2],
  readConfig: readOptConfig,
  declare: declareDecoder,
  tokenEmbeddings: 'model.decoder.embed_tokens.weight',
  buildGraphs: (newGraph, weights, config, tokenEmbeddings) =>
    buildDecoder(newGraph('decoder'), weights, config, tokenEmbeddings),
};

type OptConfig = {
  hiddenSize: number;
  ffnDim: number;
  numHiddenLayers: number;
  numAttentionHeads: number;
  numKeyValueHeads: number;
  headDim: number;
  maxPositionEmbeddings: number;
};

/**
 * The sizes of an OPT from its config.json, with the defaults of transformers' OPTConfig. The tensors know the height of its tables.
 *
 * @throws the reader's error when a key is mistyped, or asks for a variant of the architecture that is not built.
 */
function readOptConfig(config: ObjectReader): OptConfig {
  if (config.has('activation_function')) config.oneOf('activation_function', ['relu']);
  requireValue(config, 'do_layer_norm_before', true);
  requireValue(config, 'enable_bias', true);
  requireValue(config, '_remove_final_layer_norm', false);
  requireValue(config, 'layer_norm_elementwise_affine', true);
  requireValue(config, 'tie_word_embeddings', true);
  const hiddenSize = count(config, 'hidden_size', MOST.features, 768);
  // Only OPT-350m, which no BLIP-2 uses, embeds words in another width than it computes in.
  if (config.has('word_embed_proj_dim') && config.integer('word_embed_proj_dim') !== hiddenSize) {
    config.fail('word_embed_proj_dim', `equal to hidden_size (${hiddenSize})`);
  }
  const numAttentionHeads = attentionHeads(config, 12, hiddenSize);
  return {
    hiddenSize,
    ffnDim: count(config, 'ffn_dim', MOST.features, 3072),
    numHiddenLayers: count(config, 'num_hidden_layers', MOST.layers, 12),
    numAttentionHeads,
    numKeyValueHeads: numAttentionHeads,
    headDim: hiddenSize / numAttentionHeads,
    maxPositionEmbeddings: count(config, 'max_position_embeddings', MOST.positions, 2048),
  };
}

/**
 * Builds `decoder`: inputs_embeds, positions and the cache -> logits [B, V] of one position of each row, and the updated cache.
 *
 * Only the position whose logits are wanted passes through the last layer's feed-forward part and the head: of a prompt, the others are
 * needed as keys and values alone.
 *
 * @param weights cursor at the language model (`language_model`)
 * @param tokenEmbeddings serve as the output head too
 */
function buildDecoder(g: GraphBuilder, weights: WeightCursor, config: OptConfig, tokenEmbeddings: Weight): void {
  const { hiddenSize: d, numHiddenLayers, numAttentionHeads: H, headDim, maxPositionEmbeddings } = config;
  const decoder = weights.at('model.decoder');
  const inputs = declareDecoderInputs(g, d);
  let masks: CacheMasks | undefined;

  const positionTable = decoder.take('embed_positions.weight', [maxPositionEmbeddings + POSITION_OFFSET, d]);
  const tableRows = add(g, inputs.positionIds, g.int64([POSITION_OFFSET], [])); // [B, S]
  let hidden = add(g, inputs.inputsEmbeds, g.gatherRows(positionTable, tableRows)); // [B, S, d]

  const finalNorm = decoder.takeNorm('final_layer_norm', d);
  let normalized = layerNorm(g, hidden, decoder.at('layers.0').takeNorm('self_attn_layer_norm', d), LAYER_NORM_EPS); // [B, S, d]
  for (let n = 0; n < numHiddenLayers; n++) {
    const isLast = n === numHiddenLayers - 1;
    const layer = decoder.at(`layers.${n}`);
    const cache = layerCache(g, n, H, headDim); // [B, H, C, Dh] each
    masks ??= cacheMasks(g, { ...inputs, ...cache }, config);
    const qkv = projectQkv(g, layer.at('self_attn'), normalized, d); // [B, S, 3d]
    const [query, key, value] = split(g, qkv, 3); // [B, S, d] each
    let attended = cachedAttention(g, n, { query, key, value, ...cache }, masks, config); // [B, S, d]
    if (isLast) {
      attended = positionOfEachRow(g, attended, inputs.logitPositions); // [B, d]
      hidden = positionOfEachRow(g, hidden, inputs.logitPositions); // [B, d]
    }
    const afterwards = isLast ? finalNorm : decoder.at(`layers.${n + 1}`).takeNorm('self_attn_layer_norm', d);
    ({ normalized, sum: hidden } = finishLayer(g, layer, attended, hidden, afterwards, config)); // [B, S, d], at the end [B, d]
  }
  g.output('logits', linearWithoutBias(g, normalized, tokenEmbeddings)); // [B, V]
}

function projectQkv(g: GraphBuilder, weights: WeightCursor, x: Value, d: number): Value {
  const [q, k, v] = [weights.at('q_proj'), weights.at('k_proj'), weights.at('v_proj')];
  const weight = concatRows(q.take('weight', [d, d]), k.take('weight', [d, d]), v.take('weight', [d, d]));
  return linear(g, x, weight, concatRows(q.take('bias', [d]), k.take('bias', [d]), v.take('bias', [d]))); // [B, S, 3d]
}

/** What follows the attention in a layer: its output projection, and the feed-forward part. */
function finishLayer(
  g: GraphBuilder,
  weights: WeightCursor,
  attended: Value,
  residual: Value,
  afterwards: NormWeights,
  { hiddenSize: d, ffnDim: F }: OptConfig,
): { normalized: Value; sum: Value } {
  const outProj = weights.at('self_attn.out_proj');
  const projected = linearWithoutBias(g, attended, outProj.take('weight', [d, d])); // [B, S, d]
  const norm = weights.takeNorm('final_layer_norm', d);
  const middle = skipLayerNorm(g, projected, residual, outProj.take('bias', [d]), norm, LAYER_NORM_EPS); // [B, S, d]
  const inner = relu(
    g,
    linear(g, middle.normalized, weights.take('fc1.weight', [F, d]), weights.take('fc1.bias', [F])),
  ); // [B, S, F]
  const outer = linearWithoutBias(g, inner, weights.take('fc2.weight', [d, F])); // [B, S, d]
  return skipLayerNorm(g, outer, middle.sum, weights.take('fc2.bias', [d]), afterwards, LAYER_NORM_EPS); // [B, S, d]
}
