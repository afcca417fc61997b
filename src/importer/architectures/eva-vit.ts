/**
 * EVA ViT: the frozen image encoder of the Q-Former family (EVA, https://arxiv.org/abs/2211.07636; LAVIS eva_vit.py).
 * Pre-norm transformer over patches, class token first, absolute positions; the layer norm that follows it in BLIP-2 is included.
 *
 * B images, C = 3 channels, S image side, P patches, N = P + 1 tokens, D hidden size.
 */
import type { ObjectReader } from '../../pack/object-reader.ts';
import {
  concat,
  add,
  attention,
  biasErfGelu,
  layerNorm,
  linearWithoutBias,
  repeatForBatch,
  reshape,
  skipLayerNorm,
  split,
  transpose,
  type NormWeights,
} from '../graph/operators.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import type { Value } from '../graph/value.ts';
import { concatRows, constantWeight, type Weight } from '../read/weight.ts';
import type { WeightCursor } from '../read/weights.ts';
import { attentionHeads, count, normEpsilon, MOST } from './config-keys.ts';
import { interpolatePositions } from './position-interpolation.ts';

/** Side of a patch in pixels, where no config says anything else. */
const PATCH_SIZE = 14;

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
type VisionDefaults = Pick<VisionConfig, 'imageSize' | 'layerNormEps' | 'postLayerNormEps' | 'mayLackPostLayernorm'>;

/**
 * The sizes of an EVA ViT, in the keys of Hugging Face's vision_config. Hugging Face has one epsilon for all norms, the originals two
 * (`ln_vision_eps` for the last one).
 *
 * @throws the reader's error when a key is mistyped, or asks for a variant of the architecture that is not built.
 */
export function readVisionConfig(config: ObjectReader, defaults: VisionDefaults): VisionConfig {
  if (config.has('hidden_act')) config.oneOf('hidden_act', ['gelu']);
  const hiddenSize = count(config, 'hidden_size', MOST.features, 1408);
  const layerNormEps = normEpsilon(config, 'layer_norm_eps', defaults.layerNormEps);
  const postDefault = defaults.postLayerNormEps === defaults.layerNormEps ? layerNormEps : defaults.postLayerNormEps;
  const imageSize = count(config, 'image_size', MOST.pixels, defaults.imageSize);
  const patchSize = readPatchSize(config);
  if (patchSize > imageSize) config.fail('patch_size', `at most the size of the image (${imageSize})`);
  return {
    hiddenSize,
    intermediateSize: count(config, 'intermediate_size', MOST.features, 6144),
    numHiddenLayers: count(config, 'num_hidden_layers', MOST.layers, 39),
    numAttentionHeads: attentionHeads(config, 16, hiddenSize),
    imageSize,
    patchSize,
    layerNormEps,
    postLayerNormEps: normEpsilon(config, 'ln_vision_eps', postDefault),
    mayLackPostLayernorm: defaults.mayLackPostLayernorm,
  };
}

/** Side of a patch in pixels. */
export function readPatchSize(config: ObjectReader): number {
  return count(config, 'patch_size', MOST.pixels, PATCH_SIZE);
}

/** P, of an image whose side may have a rest that no patch covers. */
export function patchCount({ imageSize, patchSize }: VisionConfig): number {
  return Math.floor(imageSize / patchSize) ** 2;
}

/**
 * Builds `vision_encoder`: pixel_values [B, 3, S, S] -> image_embeds [B, N, D].
 *
 * @param weights cursor at `vision_model`
 */
export function buildVisionEncoder(g: GraphBuilder, weights: WeightCursor, config: VisionConfig): void {
  const { hiddenSize: D, imageSize: S, numHiddenLayers, layerNormEps, postLayerNormEps } = config;
  const pixelValues = g.input('pixel_values', 'float', ['B', 3, S, S]); // [B, 3, S, S]
  let hidden = embedPatches(g, weights.at('embeddings'), pixelValues, config); // [B, N, D]

  const layers = weights.at('encoder.layers');
  const postLayernorm = takePostLayernorm(weights, config);
  let normalized = layerNorm(g, hidden, layers.at('0').takeNorm('layer_norm1', D), layerNormEps); // [B, N, D]
  for (let n = 0; n < numHiddenLayers; n++) {
    const isLast = n === numHiddenLayers - 1;
    const layer = layers.at(String(n));
    const afterwards = isLast ? postLayernorm : layers.at(String(n + 1)).takeNorm('layer_norm1', D);
    const epsilon = isLast ? postLayerNormEps : layerNormEps;
    ({ normalized, sum: hidden } = block(g, layer, normalized, hidden, { norm: afterwards, epsilon }, config));
  }
  g.output('image_embeds', normalized); // [B, N, D]
}

function embedPatches(g: GraphBuilder, weights: WeightCursor, pixelValues: Value, config: VisionConfig): Value {
  const { hiddenSize: D, imageSize, patchSize } = config;
  const side = Math.floor(imageSize / patchSize);
  const P = patchCount(config);
  const kernel = g.weight(weights.take('patch_embedding.weight', [D, 3, patchSize, patchSize]));
  const bias = g.weight(weights.take('patch_embedding.bias', [D]));
  const strides = [patchSize, patchSize];
  const grid = g.node1(
    'Conv',
    [pixelValues, kernel, bias],
    { type: 'float', shape: ['B', D, side, side] },
    { strides },
  ); // [B, D, side, side]
  const patches = transpose(g, reshape(g, grid, [0, 0, -1], ['B', D, P]), [0, 2, 1]); // [B, P, D]
  const classToken = repeatForBatch(g, g.weight(weights.take('class_embedding', [1, 1, D])), pixelValues); // [B, 1, D]
  const tokens = concat(g, [classToken, patches], 1, P + 1); // [B, N, D]
  return add(g, tokens, g.weight(takePositions(weights, side, D))); // [B, N, D]
}

/** Learned positions for this grid; those of another grid are interpolated. */
function takePositions(weights: WeightCursor, side: number, D: number): Weight {
  const [, rows] = weights.shapeOf('position_embedding');
  const isSquare = rows !== undefined && Number.isInteger(Math.sqrt(rows - 1));
  const positions = weights.take('position_embedding', [1, isSquare ? rows : side * side + 1, D]);
  return interpolatePositions(positions, side);
}

/** The norm after the last block. Where it was never trained, and so never saved, it is ones and zeros; but it is still a norm. */
function takePostLayernorm(weights: WeightCursor, { hiddenSize: D, mayLackPostLayernorm }: VisionConfig): NormWeights {
  if (mayLackPostLayernorm && !weights.has('post_layernorm.weight')) {
    return {
      weight: constantWeight('untrained.post_layernorm.weight', [D], 1),
      bias: constantWeight('untrained.post_layernorm.bias', [D], 0),
    };
  }
  return weights.takeNorm('post_layernorm', D);
}

/** The biases of queries, keys and values in a row. The original has none for keys and keeps the others apart. */
function takeQkvBias(selfAttn: WeightCursor, D: number): Weight {
  if (!selfAttn.has('q_bias')) return selfAttn.take('qkv.bias', [3 * D]);
  const zeros = constantWeight('no_key_bias', [D], 0);
  return concatRows(selfAttn.take('q_bias', [D]), zeros, selfAttn.take('v_bias', [D]));
}

/** One block. Takes its input already normalised, and hands on its sum both as it is and normalised by the norm that follows. */
function block(
  g: GraphBuilder,
  weights: WeightCursor,
  normalized: Value,
  residual: Value,
  afterwards: { norm: NormWeights; epsilon: number },
  config: VisionConfig,
): { normalized: Value; sum: Value } {
  const { hiddenSize: D, intermediateSize, numAttentionHeads, layerNormEps } = config;
  const selfAttn = weights.at('self_attn');
  const qkv = linearWithoutBias(g, normalized, selfAttn.take('qkv.weight', [3 * D, D])); // [B, N, 3D]
  const [query, key, value] = split(g, qkv, 3); // [B, N, D] each
  const attended = attention(g, query, key, value, takeQkvBias(selfAttn, D), numAttentionHeads); // [B, N, D]
  const projected = linearWithoutBias(g, attended, selfAttn.take('projection.weight', [D, D])); // [B, N, D]
  const middle = skipLayerNorm(
    g,
    projected,
    residual,
    selfAttn.take('projection.bias', [D]),
    weights.takeNorm('layer_norm2', D),
    layerNormEps,
  ); // [B, N, D]

  const mlp = weights.at('mlp');
  const inner = linearWithoutBias(g, middle.normalized, mlp.take('fc1.weight', [intermediateSize, D])); // [B, N, 4D]
  const activated = biasErfGelu(g, inner, mlp.take('fc1.bias', [intermediateSize])); // [B, N, 4D]
  const outer = linearWithoutBias(g, activated, mlp.take('fc2.weight', [D, intermediateSize])); // [B, N, D]
  return skipLayerNorm(g, outer, middle.sum, mlp.take('fc2.bias', [D]), afterwards.norm, afterwards.epsilon); // [B, N, D]
}
