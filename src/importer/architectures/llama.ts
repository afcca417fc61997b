/**
 * LLaMA, the decoder-only language model of Vicuna and LLaMA-2-chat (https://arxiv.org/abs/2302.13971; transformers
 * modeling_llama.py). Pre-norm with RMSNorm, rotary positions, SwiGLU, no biases, a head of its own. Reads embeddings.
 *
 * B rows, S new positions, C positions of the cache, H heads of size Dh, Hk key/value heads, d hidden size, F feed-forward size, V vocabulary rows.
 */
import type { ObjectReader } from '../../pack/object-reader.ts';
import { add, linearWithoutBias, multiply, positionOfEachRow, rmsNorm, silu, split } from '../graph/operators.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import { cachedAttention, cacheMasks, type CacheMasks } from '../graph/cached-attention.ts';
import { declareDecoderInputs, layerCache } from '../graph/decoder-inputs.ts';
import { buildRotaryTables, rotate } from '../graph/rotary.ts';
import type { Value } from '../graph/value.ts';
import { concatRows, mergeLora, rowsOf, type LoraConfig, type Weight } from '../read/weight.ts';
import type { WeightCursor } from '../read/weights.ts';
import { attentionHeads, count, normEpsilon, flag, MOST, requireValue, ropeTheta } from './config-keys.ts';
import {
  declareDecoder,
  HEAD_NAME,
  ROTARY_BUFFER,
  TIED_HEAD,
  type BuildableArchitecture,
} from './language-architecture.ts';

export const LLAMA: BuildableArchitecture<LlamaConfig> = {
  name: 'llama',
  modelTypes: ['llama'],
  names: [
    ROTARY_BUFFER,
    { pattern: /^model\.(embed_tokens|layers|norm)\./, name: 'language_model.model.$1.' },
    HEAD_NAME,
  ],
  leftOver: [TIED_HEAD],
  defaultEosTokenIds: [2],
  readConfig: readLlamaConfig,
  declare: declareDecoder,
  tokenEmbeddings: 'model.embed_tokens.weight',
  buildGraphs: (newGraph, weights, config, tokenEmbeddings) =>
    buildDecoder(newGraph('decoder'), weights, config, tokenEmbeddings),
};

type LlamaConfig = {
  hiddenSize: number;
  intermediateSize: number;
  numHiddenLayers: number;
  numAttentionHeads: number;
  numKeyValueHeads: number;
  headDim: number;
  maxPositionEmbeddings: number;
  ropeTheta: number;
  rmsNormEps: number;
  tieWordEmbeddings: boolean;
  /** Of the adaptation that the checkpoint brings, if any. */
  lora: LoraConfig | undefined;
};

/**
 * The sizes of a LLaMA from its config.json, with the defaults of transformers' LlamaConfig.
 *
 * @throws the reader's error when a key is mistyped, or asks for a variant of the architecture that is not built.
 */
function readLlamaConfig(config: ObjectReader): LlamaConfig {
  if (config.has('hidden_act')) config.oneOf('hidden_act', ['silu']);
  requireValue(config, 'attention_bias', false);
  requireValue(config, 'mlp_bias', false);
  if (config.has('rope_scaling')) config.fail('rope_scaling', 'null');
  const hiddenSize = count(config, 'hidden_size', MOST.features, 4096);
  const numAttentionHeads = attentionHeads(config, 32, hiddenSize);
  const numKeyValueHeads = count(config, 'num_key_value_heads', MOST.heads, numAttentionHeads);
  if (numAttentionHeads % numKeyValueHeads !== 0)
    config.fail('num_key_value_heads', `a divisor of num_attention_heads (${numAttentionHeads})`);
  const headDim = count(config, 'head_dim', MOST.features, hiddenSize / numAttentionHeads);
  if (headDim % 2 !== 0) config.fail('head_dim', 'an even number');
  return {
    hiddenSize,
    intermediateSize: count(config, 'intermediate_size', MOST.features, 11_008),
    numHiddenLayers: count(config, 'num_hidden_layers', MOST.layers, 32),
    numAttentionHeads,
    numKeyValueHeads,
    headDim,
    maxPositionEmbeddings: count(config, 'max_position_embeddings', MOST.positions, 2048),
    ropeTheta: ropeTheta(config),
    rmsNormEps: normEpsilon(config, 'rms_norm_eps', 1e-6),
    tieWordEmbeddings: flag(config, 'tie_word_embeddings', false),
    lora: undefined,
  };
}

/**
 * Builds `decoder`: inputs_embeds and the cache -> logits [B, V] of one position of each row, and the updated cache. Positions count from
 * the row's own beginning.
 *
 * @param weights cursor at the language model; low-rank adaptations beside a projection are merged into it
 */
function buildDecoder(g: GraphBuilder, weights: WeightCursor, config: LlamaConfig, tokenEmbeddings: Weight): void {
  const { hiddenSize: d, numHiddenLayers, rmsNormEps, numAttentionHeads, numKeyValueHeads, headDim } = config;
  const model = weights.at('model');
  const inputs = declareDecoderInputs(g, d);
  const rotary = buildRotaryTables(g, config, headDim);
  let hidden = inputs.inputsEmbeds; // [B, S, d]
  let masks: CacheMasks | undefined;

  for (let n = 0; n < numHiddenLayers; n++) {
    const isLast = n === numHiddenLayers - 1;
    const layer = model.at(`layers.${n}`);
    const normalized = rmsNorm(g, hidden, layer.take('input_layernorm.weight', [d]), rmsNormEps); // [B, S, d]
    const { query, key, value } = projectQkv(g, layer.at('self_attn'), normalized, config);
    const cache = layerCache(g, n, numKeyValueHeads, headDim); // [B, Hk, C, Dh] each
    masks ??= cacheMasks(g, { ...inputs, ...cache }, config);
    const turned = {
      query: rotate(g, query, inputs.positionIds, numAttentionHeads, rotary), // [B, S, H·Dh]
      key: rotate(g, key, inputs.positionIds, numKeyValueHeads, rotary), // [B, S, Hk·Dh]
    };
    let attended = cachedAttention(g, n, { ...turned, value, ...cache }, masks, config); // [B, S, H·Dh]
    if (isLast) {
      attended = positionOfEachRow(g, attended, inputs.logitPositions); // [B, H·Dh]
      hidden = positionOfEachRow(g, hidden, inputs.logitPositions); // [B, d]
    }
    hidden = add(g, hidden, linearWithoutBias(g, attended, takeProjection(layer.at('self_attn'), 'o_proj', config))); // [B, S, d]
    const middle = rmsNorm(g, hidden, layer.take('post_attention_layernorm.weight', [d]), rmsNormEps); // [B, S, d]
    hidden = add(g, hidden, feedForward(g, layer.at('mlp'), middle, config)); // [B, S, d]
  }
  const normalized = rmsNorm(g, hidden, model.take('norm.weight', [d]), rmsNormEps); // [B, d]
  g.output('logits', linearWithoutBias(g, normalized, takeHead(weights, config, tokenEmbeddings))); // [B, V]
}

/** `down(silu(gate·x) * (up·x))`. */
function feedForward(
  g: GraphBuilder,
  weights: WeightCursor,
  x: Value,
  { hiddenSize: d, intermediateSize: F }: LlamaConfig,
): Value {
  const gate = silu(g, linearWithoutBias(g, x, weights.take('gate_proj.weight', [F, d]))); // [B, S, F]
  const up = linearWithoutBias(g, x, weights.take('up_proj.weight', [F, d])); // [B, S, F]
  return linearWithoutBias(g, multiply(g, gate, up), weights.take('down_proj.weight', [d, F])); // [B, S, d]
}

/** Queries [B, S, H·Dh], keys and values [B, S, Hk·Dh]; in one product where they are equally wide. */
function projectQkv(
  g: GraphBuilder,
  weights: WeightCursor,
  x: Value,
  config: LlamaConfig,
): { query: Value; key: Value; value: Value } {
  const q = takeProjection(weights, 'q_proj', config);
  const k = takeProjection(weights, 'k_proj', config);
  const v = takeProjection(weights, 'v_proj', config);
  if (config.numKeyValueHeads === config.numAttentionHeads) {
    const joined = linearWithoutBias(g, x, concatRows(q, k, v)); // [B, S, 3·H·Dh]
    const [query, key, value] = split(g, joined, 3);
    return { query, key, value };
  }
  const [key, value] = split(g, linearWithoutBias(g, x, concatRows(k, v)), 2);
  return { query: linearWithoutBias(g, x, q), key, value };
}

type Projection = 'q_proj' | 'k_proj' | 'v_proj' | 'o_proj';

/** A projection of the attention, with its low-rank adaptation merged in where the checkpoint has one (MiniGPT-v2: q and v). */
function takeProjection(weights: WeightCursor, name: Projection, config: LlamaConfig): Weight {
  const { hiddenSize: d, numAttentionHeads, numKeyValueHeads, headDim, lora } = config;
  const queryWidth = numAttentionHeads * headDim;
  const shapes = {
    q_proj: [queryWidth, d],
    k_proj: [numKeyValueHeads * headDim, d],
    v_proj: [numKeyValueHeads * headDim, d],
    o_proj: [d, queryWidth],
  } as const;
  const [outputs, inputs] = shapes[name];
  const base = weights.take(`${name}.weight`, [outputs, inputs]);
  if (lora === undefined || !weights.has(`${name}.lora_A.weight`)) return base;
  const loraA = weights.take(`${name}.lora_A.weight`, [lora.rank, inputs]);
  const loraB = weights.take(`${name}.lora_B.weight`, [outputs, lora.rank]);
  return mergeLora(base, loraA, loraB, lora.alpha / lora.rank);
}

/** The output head; the token embeddings where the config ties them. */
function takeHead(weights: WeightCursor, config: LlamaConfig, tokenEmbeddings: Weight): Weight {
  if (config.tieWordEmbeddings) return tokenEmbeddings;
  return weights.take('lm_head.weight', [rowsOf(tokenEmbeddings), config.hiddenSize]);
}
