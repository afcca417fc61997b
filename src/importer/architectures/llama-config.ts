/** The sizes of a LLaMA from its config.json (spec 4.3), with the defaults of transformers' LlamaConfig. */
import type { ObjectReader } from '../../pack/object-reader.ts';
import { attentionHeads, flag, integer, number, requireValue } from './config-keys.ts';
import type { LoraConfig } from './lora-config.ts';

export type LlamaConfig = {
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
 * @throws the reader's error when a key is mistyped, or asks for a variant of the architecture that is not built.
 */
export function readLlamaConfig(config: ObjectReader, lora?: LoraConfig): LlamaConfig {
  if (config.has('hidden_act')) config.oneOf('hidden_act', ['silu']);
  requireValue(config, 'attention_bias', false);
  requireValue(config, 'mlp_bias', false);
  if (config.has('rope_scaling')) config.fail('rope_scaling', 'null');
  const hiddenSize = integer(config, 'hidden_size', 4096);
  const numAttentionHeads = attentionHeads(config, 32, hiddenSize);
  const numKeyValueHeads = integer(config, 'num_key_value_heads', numAttentionHeads);
  if (numKeyValueHeads === 0 || numAttentionHeads % numKeyValueHeads !== 0)
    config.fail('num_key_value_heads', `a divisor of num_attention_heads (${numAttentionHeads})`);
  const headDim = integer(config, 'head_dim', hiddenSize / numAttentionHeads);
  if (headDim === 0 || headDim % 2 !== 0) config.fail('head_dim', 'an even number');
  return {
    hiddenSize,
    intermediateSize: integer(config, 'intermediate_size', 11_008),
    numHiddenLayers: integer(config, 'num_hidden_layers', 32),
    numAttentionHeads,
    numKeyValueHeads,
    headDim,
    maxPositionEmbeddings: integer(config, 'max_position_embeddings', 2048),
    ropeTheta: ropeTheta(config),
    rmsNormEps: number(config, 'rms_norm_eps', 1e-6),
    tieWordEmbeddings: flag(config, 'tie_word_embeddings', false),
    lora,
  };
}

/** The base of the rotary frequencies; transformers 5 writes it into `rope_parameters`. */
export function ropeTheta(config: ObjectReader): number {
  const parameters = config.objectOrEmpty('rope_parameters');
  if (parameters.has('rope_type')) parameters.oneOf('rope_type', ['default']);
  return number(config, 'rope_theta', number(parameters, 'rope_theta', 10_000));
}
