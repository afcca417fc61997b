/** The sizes of an EVA ViT (spec 1.1), in the keys of Hugging Face's vision_config. */
import type { ObjectReader } from '../../pack/object-reader.ts';
import { attentionHeads, integer, number } from './config-keys.ts';

export type VisionConfig = {
  hiddenSize: number;
  intermediateSize: number;
  numHiddenLayers: number;
  numAttentionHeads: number;
  imageSize: number;
  patchSize: number;
  /** Of the norms inside the blocks. */
  layerNormEps: number;
  /** Of the norm after the last block, the originals' `ln_vision`. */
  postLayerNormEps: number;
  /** True where the norm after the last block was never trained, so that checkpoints leave it out. */
  mayLackPostLayernorm: boolean;
};

/** What a family's published checkpoints have where no config says anything else. */
export type VisionDefaults = Pick<
  VisionConfig,
  'imageSize' | 'layerNormEps' | 'postLayerNormEps' | 'mayLackPostLayernorm'
>;

/**
 * Hugging Face has one epsilon for all norms, the originals two (`ln_vision_eps` for the last one).
 *
 * @throws the reader's error when a key is mistyped, or asks for a variant of the architecture that is not built.
 */
export function readVisionConfig(config: ObjectReader, defaults: VisionDefaults): VisionConfig {
  if (config.has('hidden_act')) config.oneOf('hidden_act', ['gelu']);
  const hiddenSize = integer(config, 'hidden_size', 1408);
  const layerNormEps = number(config, 'layer_norm_eps', defaults.layerNormEps);
  const postDefault = defaults.postLayerNormEps === defaults.layerNormEps ? layerNormEps : defaults.postLayerNormEps;
  return {
    hiddenSize,
    intermediateSize: integer(config, 'intermediate_size', 6144),
    numHiddenLayers: integer(config, 'num_hidden_layers', 39),
    numAttentionHeads: attentionHeads(config, 16, hiddenSize),
    imageSize: integer(config, 'image_size', defaults.imageSize),
    patchSize: integer(config, 'patch_size', 14),
    layerNormEps,
    postLayerNormEps: number(config, 'ln_vision_eps', postDefault),
    mayLackPostLayernorm: defaults.mayLackPostLayernorm,
  };
}
