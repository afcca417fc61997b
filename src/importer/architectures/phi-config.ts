/**
 * The sizes of a Phi-2 from its config.json (spec 4.4): in the keys of transformers (`model_type` "phi"), or in those of the original
 * repository ("phi-msft").
 */
import type { ObjectReader } from '../../pack/object-reader.ts';
import { attentionHeads, integer, number, requireValue } from './config-keys.ts';
import { ropeTheta } from './llama-config.ts';
import type { LoraConfig } from './lora-config.ts';

export type PhiConfig = {
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
  /** Whether it is TinyGPT-V's: norms on queries and keys, and one behind the attention (spec 4.5). */
  hasTinyGptVNorms: boolean;
  /** Of the adaptation that the checkpoint brings, if any. */
  lora: LoraConfig | undefined;
};

/** @throws the reader's error when a key is mistyped, or asks for a variant of the architecture that is not built. */
export function readPhiConfig(
  config: ObjectReader,
  { hasTinyGptVNorms, lora }: Pick<PhiConfig, 'hasTinyGptVNorms' | 'lora'>,
): PhiConfig {
  const sizes = config.has('n_embd') ? readOriginalSizes(config) : readTransformersSizes(config);
  const headDim = sizes.hiddenSize / sizes.numAttentionHeads;
  if (sizes.rotaryDim === 0 || sizes.rotaryDim % 2 !== 0 || sizes.rotaryDim > headDim) {
    config.fail(config.has('n_embd') ? 'rotary_dim' : 'partial_rotary_factor', `an even share of ${headDim} features`);
  }
  return {
    ...sizes,
    headDim,
    numKeyValueHeads: sizes.numAttentionHeads,
    ropeTheta: ropeTheta(config),
    hasTinyGptVNorms,
    lora,
  };
}

type Sizes = Omit<PhiConfig, 'headDim' | 'numKeyValueHeads' | 'ropeTheta' | 'hasTinyGptVNorms' | 'lora'>;

function readTransformersSizes(config: ObjectReader): Sizes {
  if (config.has('hidden_act')) config.oneOf('hidden_act', ['gelu_new']);
  requireValue(config, 'qk_layernorm', false);
  requireValue(config, 'tie_word_embeddings', false);
  if (config.has('rope_scaling')) config.fail('rope_scaling', 'null');
  const hiddenSize = integer(config, 'hidden_size', 2048);
  const numAttentionHeads = attentionHeads(config, 32, hiddenSize);
  if (config.has('num_key_value_heads') && config.integer('num_key_value_heads') !== numAttentionHeads)
    config.fail('num_key_value_heads', `equal to num_attention_heads (${numAttentionHeads})`);
  // The class has another default than the published model, so the key must be there.
  const parameters = config.objectOrEmpty('rope_parameters');
  const owner = parameters.has('partial_rotary_factor') ? parameters : config;
  const factor = owner.number('partial_rotary_factor');
  return {
    hiddenSize,
    intermediateSize: integer(config, 'intermediate_size', 8192),
    numHiddenLayers: integer(config, 'num_hidden_layers', 24),
    numAttentionHeads,
    rotaryDim: Math.floor(factor * (hiddenSize / numAttentionHeads)),
    maxPositionEmbeddings: integer(config, 'max_position_embeddings', 2048),
    layerNormEps: number(config, 'layer_norm_eps', 1e-5),
  };
}

function readOriginalSizes(config: ObjectReader): Sizes {
  if (config.has('activation_function')) config.oneOf('activation_function', ['gelu_new']);
  requireValue(config, 'tie_word_embeddings', false);
  const hiddenSize = config.integer('n_embd');
  const numAttentionHeads = config.integer('n_head');
  if (numAttentionHeads === 0 || hiddenSize % numAttentionHeads !== 0)
    config.fail('n_head', `a divisor of n_embd (${hiddenSize})`);
  if (config.has('n_head_kv') && config.integer('n_head_kv') !== numAttentionHeads)
    config.fail('n_head_kv', `equal to n_head (${numAttentionHeads})`);
  return {
    hiddenSize,
    intermediateSize: config.has('n_inner') ? config.integer('n_inner') : 4 * hiddenSize,
    numHiddenLayers: config.integer('n_layer'),
    numAttentionHeads,
    rotaryDim: config.integer('rotary_dim'),
    maxPositionEmbeddings: integer(config, 'n_positions', 2048),
    layerNormEps: number(config, 'layer_norm_epsilon', 1e-5),
  };
}
