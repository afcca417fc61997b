/**
 * Phi-2, and TinyGPT-V's variant of it (transformers modeling_phi.py; https://arxiv.org/abs/2312.16862). Attention and
 * feed-forward part read the same normalised input side by side; positions turn a part of each head; every layer has biases, the head too.
 *
 * TinyGPT-V normalises queries and keys per head before they are turned, and the attention's result before it is added; and it was
 * trained with a low-rank adaptation of `query_key_value` and `dense`, which is merged here.
 *
 * B rows, S new positions, C positions of the cache, H heads of size Dh, d hidden size, F feed-forward size, V vocabulary rows.
 */
import type { ObjectReader } from '../../pack/object-reader.ts';
import {
  add,
  biasTanhGelu,
  layerNorm,
  linear,
  linearWithoutBias,
  positionOfEachRow,
  reshape,
  rmsNorm,
  split,
} from '../graph/operators.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import { cachedAttention, cacheMasks, type CacheMasks } from '../graph/cached-attention.ts';
import { declareDecoderInputs, layerCache } from '../graph/decoder-inputs.ts';
import { buildRotaryTables, rotate } from '../graph/rotary.ts';
import type { Value } from '../graph/value.ts';
import {
  concatRows,
  constantWeight,
  mergeLora,
  reorderRows,
  rowsOf,
  type LoraConfig,
  type Weight,
} from '../read/weight.ts';
import type { WeightCursor } from '../read/weights.ts';
import { attentionHeads, count, normEpsilon, MOST, requireValue, ropeTheta } from './config-keys.ts';
import { declareDecoder, HEAD_NAME, ROTARY_BUFFER, type BuildableArchitecture } from './language-architecture.ts';

/** TinyGPT-V's norms on queries and keys, and the one behind the attention. */
const HEAD_NORM_EPS = 1e-5;
const POST_NORM_EPS = 1e-6;

export const PHI: BuildableArchitecture<PhiConfig> = {
  name: 'phi',
  modelTypes: ['phi', 'phi-msft'],
  names: [
    ROTARY_BUFFER,
    { pattern: /^model\.(embed_tokens|layers|final_layernorm)\./, name: 'language_model.model.$1.' },
    HEAD_NAME,
    // As it was first published.
    { pattern: /\.mixer\.(?:inner_attn|inner_cross_attn|rotary_emb)\./, unneeded: 'a buffer of the attention' },
    { pattern: /^transformer\.embd\.wte\./, name: 'language_model.model.embed_tokens.' },
    { pattern: /^transformer\.h\.(\d+)\.ln\./, name: 'language_model.model.layers.$1.input_layernorm.' },
    { pattern: /^transformer\.h\.(\d+)\.mixer\.Wqkv\./, name: 'language_model.model.layers.$1.self_attn.Wqkv.' },
    { pattern: /^transformer\.h\.(\d+)\.mixer\.out_proj\./, name: 'language_model.model.layers.$1.self_attn.dense.' },
    { pattern: /^transformer\.h\.(\d+)\.mlp\./, name: 'language_model.model.layers.$1.mlp.' },
    { pattern: /^lm_head\.ln\./, name: 'language_model.model.final_layernorm.' },
    { pattern: /^lm_head\.linear\./, name: 'language_model.lm_head.' },
  ],
  leftOver: [],
  defaultEosTokenIds: [2],
  readConfig: readPhiConfig,
  declare: declareDecoder,
  tokenEmbeddings: 'model.embed_tokens.weight',
  buildGraphs: (newGraph, weights, config, tokenEmbeddings) =>
    buildDecoder(newGraph('decoder'), weights, config, rowsOf(tokenEmbeddings)),
};

type PhiConfig = {
  hiddenSize: number;
  intermediateSize: number;
  numHiddenLayers: number;
  numAttentionHeads: number;
  numKeyValueHeads: number;
  headDim: number;
  /** Features of each head that positions turn; the others stay as they are. */
  rotaryDim: number;
  maxPositionEmbeddings: number;
  ropeTheta: number;
  layerNormEps: number;
  /** Whether it is TinyGPT-V's: norms on queries and keys, and one behind the attention. */
  hasTinyGptVNorms: boolean;
  /** Of the adaptation that the checkpoint brings, if any. */
  lora: LoraConfig | undefined;
};

/**
 * The sizes of a Phi-2 from its config.json: in the keys of transformers (`model_type` "phi"), or in those of the original repository
 * ("phi-msft").
 *
 * @throws the reader's error when a key is mistyped, or asks for a variant of the architecture that is not built.
 */
function readPhiConfig(config: ObjectReader): PhiConfig {
  const sizes = config.has('n_embd') ? readOriginalSizes(config) : readTransformersSizes(config);
  const headDim = sizes.hiddenSize / sizes.numAttentionHeads;
  if (!(sizes.rotaryDim > 0) || sizes.rotaryDim % 2 !== 0 || sizes.rotaryDim > headDim) {
    config.fail(config.has('n_embd') ? 'rotary_dim' : 'partial_rotary_factor', `an even share of ${headDim} features`);
  }
  return {
    ...sizes,
    headDim,
    numKeyValueHeads: sizes.numAttentionHeads,
    ropeTheta: ropeTheta(config),
    hasTinyGptVNorms: false,
    lora: undefined,
  };
}

type Sizes = Omit<PhiConfig, 'headDim' | 'numKeyValueHeads' | 'ropeTheta' | 'hasTinyGptVNorms' | 'lora'>;

function readTransformersSizes(config: ObjectReader): Sizes {
  if (config.has('hidden_act')) config.oneOf('hidden_act', ['gelu_new']);
  requireValue(config, 'qk_layernorm', false);
  requireValue(config, 'tie_word_embeddings', false);
  if (config.has('rope_scaling')) config.fail('rope_scaling', 'null');
  const hiddenSize = count(config, 'hidden_size', MOST.features, 2048);
  const numAttentionHeads = attentionHeads(config, 32, hiddenSize);
  if (config.has('num_key_value_heads') && config.integer('num_key_value_heads') !== numAttentionHeads)
    config.fail('num_key_value_heads', `equal to num_attention_heads (${numAttentionHeads})`);
  // The class has another default than the published model, so the key must be there.
  const parameters = config.objectOrEmpty('rope_parameters');
  const owner = parameters.has('partial_rotary_factor') ? parameters : config;
  const factor = owner.number('partial_rotary_factor');
  return {
    hiddenSize,
    intermediateSize: count(config, 'intermediate_size', MOST.features, 8192),
    numHiddenLayers: count(config, 'num_hidden_layers', MOST.layers, 24),
    numAttentionHeads,
    rotaryDim: Math.floor(factor * (hiddenSize / numAttentionHeads)),
    maxPositionEmbeddings: count(config, 'max_position_embeddings', MOST.positions, 2048),
    layerNormEps: normEpsilon(config, 'layer_norm_eps', 1e-5),
  };
}

function readOriginalSizes(config: ObjectReader): Sizes {
  if (config.has('activation_function')) config.oneOf('activation_function', ['gelu_new']);
  requireValue(config, 'tie_word_embeddings', false);
  const hiddenSize = count(config, 'n_embd', MOST.features);
  const numAttentionHeads = count(config, 'n_head', MOST.heads);
  if (hiddenSize % numAttentionHeads !== 0) config.fail('n_head', `a divisor of n_embd (${hiddenSize})`);
  if (config.has('n_head_kv') && config.integer('n_head_kv') !== numAttentionHeads)
    config.fail('n_head_kv', `equal to n_head (${numAttentionHeads})`);
  return {
    hiddenSize,
    intermediateSize: count(config, 'n_inner', MOST.features, 4 * hiddenSize),
    numHiddenLayers: count(config, 'n_layer', MOST.layers),
    numAttentionHeads,
    rotaryDim: config.integer('rotary_dim'),
    maxPositionEmbeddings: count(config, 'n_positions', MOST.positions, 2048),
    layerNormEps: normEpsilon(config, 'layer_norm_epsilon', 1e-5),
  };
}

/**
 * Builds `decoder`: inputs_embeds and the cache -> logits [B, V] of one position of each row, and the updated cache. Positions count from
 * the row's own beginning.
 *
 * @param weights cursor at the language model, in any of the three published layouts of the attention
 * @param vocabSize V, the height of the token embeddings and so of the head
 */
function buildDecoder(g: GraphBuilder, weights: WeightCursor, config: PhiConfig, vocabSize: number): void {
  const { hiddenSize: d, numHiddenLayers, numAttentionHeads: H, headDim, layerNormEps, hasTinyGptVNorms } = config;
  const model = weights.at('model');
  const inputs = declareDecoderInputs(g, d);
  const rotary = buildRotaryTables(g, config, config.rotaryDim);
  let hidden = inputs.inputsEmbeds; // [B, S, d]
  let masks: CacheMasks | undefined;

  for (let n = 0; n < numHiddenLayers; n++) {
    const isLast = n === numHiddenLayers - 1;
    const layer = model.at(`layers.${n}`);
    const selfAttn = layer.at('self_attn');
    let normalized = layerNorm(g, hidden, layer.takeNorm('input_layernorm', d), layerNormEps); // [B, S, d]
    const qkv = linear(g, normalized, takeQkvWeight(selfAttn, config), takeQkvBias(selfAttn, config)); // [B, S, 3d]
    const cache = layerCache(g, n, H, headDim); // [B, H, C, Dh] each
    masks ??= cacheMasks(g, { ...inputs, ...cache }, config);
    let [query, key, value] = split(g, qkv, 3); // [B, S, d] each
    if (hasTinyGptVNorms) {
      query = normalizeHeads(g, selfAttn, 'q_layernorm', query, config); // [B, S, d]
      key = normalizeHeads(g, selfAttn, 'k_layernorm', key, config); // [B, S, d]
    }
    query = rotate(g, query, inputs.positionIds, H, rotary); // [B, S, d]
    key = rotate(g, key, inputs.positionIds, H, rotary); // [B, S, d]
    let attended = cachedAttention(g, n, { query, key, value, ...cache }, masks, config); // [B, S, d]
    if (isLast) {
      attended = positionOfEachRow(g, attended, inputs.logitPositions); // [B, d]
      normalized = positionOfEachRow(g, normalized, inputs.logitPositions); // [B, d]
      hidden = positionOfEachRow(g, hidden, inputs.logitPositions); // [B, d]
    }
    attended = linear(g, attended, takeDense(selfAttn, config), selfAttn.take('dense.bias', [d])); // [B, S, d]
    if (hasTinyGptVNorms) {
      attended = rmsNorm(g, attended, takeOr(layer, 'post_layernorm.weight', [d], 1), POST_NORM_EPS); // [B, S, d]
    }
    hidden = add(g, add(g, hidden, attended), feedForward(g, layer.at('mlp'), normalized, config)); // [B, S, d]
  }
  const normalized = layerNorm(g, hidden, model.takeNorm('final_layernorm', d), layerNormEps); // [B, d]
  const head = weights.takeLinear('lm_head', vocabSize, d);
  g.output('logits', linear(g, normalized, head.weight, head.bias)); // [B, V]
}

function feedForward(
  g: GraphBuilder,
  weights: WeightCursor,
  x: Value,
  { hiddenSize: d, intermediateSize: F }: PhiConfig,
): Value {
  const fc1 = weights.takeLinear('fc1', F, d);
  const fc2 = weights.takeLinear('fc2', d, F);
  const inner = biasTanhGelu(g, linearWithoutBias(g, x, fc1.weight), fc1.bias); // [B, S, F]
  return linear(g, inner, fc2.weight, fc2.bias); // [B, S, d]
}

/** Layer norm over the features of each head. */
function normalizeHeads(
  g: GraphBuilder,
  weights: WeightCursor,
  name: 'q_layernorm' | 'k_layernorm',
  x: Value,
  { numAttentionHeads: H, headDim }: PhiConfig,
): Value {
  const norm = {
    weight: takeOr(weights, `${name}.weight`, [headDim], 1),
    bias: takeOr(weights, `${name}.bias`, [headDim], 0),
  };
  const heads = reshape(g, x, [0, 0, H, headDim], [...x.shape.slice(0, -1), H, headDim]); // [B, S, H, Dh]
  return reshape(g, layerNorm(g, heads, norm, HEAD_NORM_EPS), [0, 0, H * headDim], x.shape); // [B, S, d]
}

/** A vector that a checkpoint may leave out because it was never trained. */
function takeOr(weights: WeightCursor, name: string, shape: readonly number[], value: number): Weight {
  return weights.has(name) ? weights.take(name, shape) : constantWeight(`untrained.${name}`, shape, value);
}

/**
 * Queries of all heads, then keys, then values: [3·H·Dh, d]. The layouts keep them in this order (`Wqkv`), per head (`query_key_value`), or
 * apart. The adaptation is of the layout per head, so its rows are brought into this order too.
 */
function takeQkvWeight(weights: WeightCursor, config: PhiConfig): Weight {
  const { hiddenSize: d, lora } = config;
  const rows = 3 * d;
  const base = joinQkv(weights, 'weight', [rows, d], [d, d], config);
  const name = 'query_key_value.lora';
  if (lora === undefined || !weights.has(`${name}_A.weight`)) return base;
  const loraA = weights.take(`${name}_A.weight`, [lora.rank, d]);
  const loraB = reorderRows(weights.take(`${name}_B.weight`, [rows, lora.rank]), fromPerHead(config), 'by-role');
  return mergeLora(base, loraA, loraB, lora.alpha / lora.rank);
}

function takeQkvBias(weights: WeightCursor, config: PhiConfig): Weight {
  const { hiddenSize: d } = config;
  return joinQkv(weights, 'bias', [3 * d], [d], config);
}

function joinQkv(
  weights: WeightCursor,
  part: 'weight' | 'bias',
  joined: readonly number[],
  single: readonly number[],
  config: PhiConfig,
): Weight {
  if (weights.has(`Wqkv.${part}`)) return weights.take(`Wqkv.${part}`, joined);
  if (weights.has(`query_key_value.${part}`))
    return reorderRows(weights.take(`query_key_value.${part}`, joined), fromPerHead(config), 'by-role');
  const take = (name: string): Weight => weights.take(`${name}.${part}`, single);
  return concatRows(take('q_proj'), take('k_proj'), take('v_proj'));
}

/** Where each row of [role, head, feature] stands in [head, role, feature]. */
function fromPerHead({ numAttentionHeads: H, headDim }: PhiConfig): number[] {
  const order: number[] = [];
  for (let role = 0; role < 3; role++)
    for (let head = 0; head < H; head++)
      for (let feature = 0; feature < headDim; feature++) order.push((head * 3 + role) * headDim + feature);
  return order;
}

function takeDense(weights: WeightCursor, { hiddenSize: d, lora }: PhiConfig): Weight {
  const base = weights.take('dense.weight', [d, d]);
  if (lora === undefined || !weights.has('dense.lora_A.weight')) return base;
  const loraA = weights.take('dense.lora_A.weight', [lora.rank, d]);
  return mergeLora(base, loraA, weights.take('dense.lora_B.weight', [d, lora.rank]), lora.alpha / lora.rank);
}
