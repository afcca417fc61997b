/** The sizes of an OPT (spec 4.1) from its config.json, with the defaults of transformers' OPTConfig. The tensors know the height of its tables. */
import type { ObjectReader } from '../../pack/object-reader.ts';
import { attentionHeads, integer, requireValue } from './config-keys.ts';

export type OptConfig = {
  hiddenSize: number;
  ffnDim: number;
  numHiddenLayers: number;
  numAttentionHeads: number;
  maxPositionEmbeddings: number;
};

/** @throws the reader's error when a key is mistyped, or asks for a variant of the architecture that is not built. */
export function readOptConfig(config: ObjectReader): OptConfig {
  if (config.has('activation_function')) config.oneOf('activation_function', ['relu']);
  requireValue(config, 'do_layer_norm_before', true);
  requireValue(config, 'enable_bias', true);
  requireValue(config, '_remove_final_layer_norm', false);
  requireValue(config, 'layer_norm_elementwise_affine', true);
  requireValue(config, 'tie_word_embeddings', true);
  const hiddenSize = integer(config, 'hidden_size', 768);
  // Only OPT-350m, which no BLIP-2 uses, embeds words in another width than it computes in.
  if (config.has('word_embed_proj_dim') && config.integer('word_embed_proj_dim') !== hiddenSize) {
    config.fail('word_embed_proj_dim', `equal to hidden_size (${hiddenSize})`);
  }
  return {
    hiddenSize,
    ffnDim: integer(config, 'ffn_dim', 3072),
    numHiddenLayers: integer(config, 'num_hidden_layers', 12),
    numAttentionHeads: attentionHeads(config, 12, hiddenSize),
    maxPositionEmbeddings: integer(config, 'max_position_embeddings', 2048),
  };
}
