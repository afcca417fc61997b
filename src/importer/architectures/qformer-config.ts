/** The sizes of a Q-Former, in the keys of Hugging Face's qformer_config. */
import type { ObjectReader } from '../../pack/object-reader.ts';
import { attentionHeads, integer, number } from './config-keys.ts';

export type QFormerConfig = {
  hiddenSize: number;
  intermediateSize: number;
  numHiddenLayers: number;
  numAttentionHeads: number;
  crossAttentionFrequency: number;
  /** Width of the image embeddings it looks at. */
  encoderHiddenSize: number;
  layerNormEps: number;
};

/** @throws the reader's error when a key is mistyped, or asks for a variant of the architecture that is not built. */
export function readQFormerConfig(config: ObjectReader, visionHiddenSize: number): QFormerConfig {
  if (config.has('hidden_act')) config.oneOf('hidden_act', ['gelu']);
  const hiddenSize = integer(config, 'hidden_size', 768);
  const frequency = integer(config, 'cross_attention_frequency', 2);
  if (frequency === 0) config.fail('cross_attention_frequency', 'at least 1');
  return {
    hiddenSize,
    intermediateSize: integer(config, 'intermediate_size', 3072),
    numHiddenLayers: integer(config, 'num_hidden_layers', 12),
    numAttentionHeads: attentionHeads(config, 12, hiddenSize),
    crossAttentionFrequency: frequency,
    encoderHiddenSize: integer(config, 'encoder_hidden_size', visionHiddenSize),
    layerNormEps: number(config, 'layer_norm_eps', 1e-12),
  };
}
