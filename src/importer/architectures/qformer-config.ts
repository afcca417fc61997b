/** The sizes of a Q-Former, in the keys of Hugging Face's qformer_config. */
import type { ObjectReader } from '../../pack/object-reader.ts';
import { attentionHeads, count, normEpsilon, MOST } from './config-keys.ts';

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
  const hiddenSize = count(config, 'hidden_size', MOST.features, 768);
  return {
    hiddenSize,
    intermediateSize: count(config, 'intermediate_size', MOST.features, 3072),
    numHiddenLayers: count(config, 'num_hidden_layers', MOST.layers, 12),
    numAttentionHeads: attentionHeads(config, 12, hiddenSize),
    crossAttentionFrequency: count(config, 'cross_attention_frequency', MOST.layers, 2),
    encoderHiddenSize: count(config, 'encoder_hidden_size', MOST.features, visionHiddenSize),
    layerNormEps: normEpsilon(config, 'layer_norm_eps', 1e-12),
  };
}
