/**
 * The sizes of a BLIP-2 checkpoint, from its config.json in the Hugging Face spelling. Published files leave out what equals the class
 * defaults of transformers, so the same defaults stand here (Blip2VisionConfig, Blip2QFormerConfig, OPTConfig).
 *
 * Keys that change the computation are checked, not just read: an unknown activation is refused at import, not computed wrongly.
 */
import type { ObjectReader } from '../../pack/object-reader.ts';

/** Image encoder (spec 1.1). */
export type VisionConfig = {
  hiddenSize: number;
  intermediateSize: number;
  numHiddenLayers: number;
  numAttentionHeads: number;
  imageSize: number;
  patchSize: number;
  layerNormEps: number;
};

/** Q-Former (spec 2.1). */
export type QFormerConfig = {
  hiddenSize: number;
  intermediateSize: number;
  numHiddenLayers: number;
  numAttentionHeads: number;
  crossAttentionFrequency: number;
  encoderHiddenSize: number;
  layerNormEps: number;
};

/** OPT language model (spec 4.1). The height of its tables is read from the tensors. */
export type OptConfig = {
  hiddenSize: number;
  ffnDim: number;
  numHiddenLayers: number;
  numAttentionHeads: number;
  maxPositionEmbeddings: number;
  bosTokenId: number;
  eosTokenId: number;
  padTokenId: number;
};

export type Blip2OptConfig = { numQueryTokens: number; vision: VisionConfig; qformer: QFormerConfig; text: OptConfig };

/**
 * Reads config.json of a BLIP-2 with OPT.
 *
 * @throws CheckpointError when a key is mistyped, or asks for a variant of the architecture that is not built.
 */
export function readBlip2OptConfig(config: ObjectReader): Blip2OptConfig {
  return {
    numQueryTokens: integer(config, 'num_query_tokens', 32),
    vision: readVision(section(config, 'vision_config')),
    qformer: readQFormer(section(config, 'qformer_config')),
    text: readOpt(section(config, 'text_config')),
  };
}

function readVision(config: ObjectReader): VisionConfig {
  if (config.has('hidden_act')) config.oneOf('hidden_act', ['gelu']);
  return {
    hiddenSize: integer(config, 'hidden_size', 1408),
    intermediateSize: integer(config, 'intermediate_size', 6144),
    numHiddenLayers: integer(config, 'num_hidden_layers', 39),
    numAttentionHeads: heads(config, 16, 1408),
    imageSize: integer(config, 'image_size', 224),
    patchSize: integer(config, 'patch_size', 14),
    layerNormEps: number(config, 'layer_norm_eps', 1e-6),
  };
}

function readQFormer(config: ObjectReader): QFormerConfig {
  if (config.has('hidden_act')) config.oneOf('hidden_act', ['gelu']);
  return {
    hiddenSize: integer(config, 'hidden_size', 768),
    intermediateSize: integer(config, 'intermediate_size', 3072),
    numHiddenLayers: integer(config, 'num_hidden_layers', 12),
    numAttentionHeads: heads(config, 12, 768),
    crossAttentionFrequency: integer(config, 'cross_attention_frequency', 2),
    encoderHiddenSize: integer(config, 'encoder_hidden_size', 1408),
    layerNormEps: number(config, 'layer_norm_eps', 1e-12),
  };
}

function readOpt(config: ObjectReader): OptConfig {
  if (config.has('activation_function')) config.oneOf('activation_function', ['relu']);
  for (const [key, needed] of [
    ['do_layer_norm_before', true],
    ['enable_bias', true],
    ['_remove_final_layer_norm', false],
    ['layer_norm_elementwise_affine', true],
    ['tie_word_embeddings', true],
  ] as const) {
    if (config.has(key) && config.boolean(key) !== needed) config.fail(key, String(needed));
  }
  const hiddenSize = integer(config, 'hidden_size', 768);
  // Only OPT-350m, which no BLIP-2 uses, embeds words in another width than it computes in.
  if (config.has('word_embed_proj_dim') && config.integer('word_embed_proj_dim') !== hiddenSize) {
    config.fail('word_embed_proj_dim', `equal to hidden_size (${hiddenSize})`);
  }
  return {
    hiddenSize,
    ffnDim: integer(config, 'ffn_dim', 3072),
    numHiddenLayers: integer(config, 'num_hidden_layers', 12),
    numAttentionHeads: heads(config, 12, 768),
    maxPositionEmbeddings: integer(config, 'max_position_embeddings', 2048),
    bosTokenId: integer(config, 'bos_token_id', 2),
    eosTokenId: integer(config, 'eos_token_id', 2),
    padTokenId: integer(config, 'pad_token_id', 1),
  };
}

function section(config: ObjectReader, key: string): ObjectReader {
  return config.objectOrEmpty(key);
}

/** Attention heads, which share the hidden size evenly. */
function heads(config: ObjectReader, byDefault: number, defaultHiddenSize: number): number {
  const count = integer(config, 'num_attention_heads', byDefault);
  const hiddenSize = integer(config, 'hidden_size', defaultHiddenSize);
  if (count === 0 || hiddenSize % count !== 0)
    config.fail('num_attention_heads', `a divisor of hidden_size (${hiddenSize})`);
  return count;
}

function integer(config: ObjectReader, key: string, byDefault: number): number {
  return config.has(key) ? config.integer(key) : byDefault;
}

function number(config: ObjectReader, key: string, byDefault: number): number {
  return config.has(key) ? config.number(key) : byDefault;
}
