/**
 * Q-Former and projection: image embeddings to image tokens of the language model (BLIP-2,
 * https://arxiv.org/abs/2301.12597; InstructBLIP, https://arxiv.org/abs/2305.06500).
 *
 * B rows, I images, N image embeddings of width Dv, Q query tokens of width D, T tokens of the instruction, d hidden size of the language
 * model.
 */
import type { GraphBuilder } from '../graph/builder.ts';
import { keyMask } from '../graph/padded-attention.ts';
import type { CheckpointWeights } from '../read/weights.ts';
import type { QFormerConfig } from './qformer-config.ts';
import { embedText, queriesAlone, queriesWithText } from './qformer-layers.ts';
import { projectToLanguage } from './qformer-projection.ts';
import { takeQFormerWeights, takeTextEmbeddings } from './qformer-weights.ts';

/**
 * Builds `qformer` with queries only: image_embeds [B, N, Dv] -> query_output [B, Q, D] and image_tokens [B, Q, d].
 *
 * What does not depend on the image yet has batch size 1: it is folded into a constant when the graph is loaded.
 *
 * @param weights the whole checkpoint: `query_tokens`, `qformer.*` and `language_projection.*`
 */
export function buildQFormer(
  g: GraphBuilder,
  weights: CheckpointWeights,
  config: QFormerConfig,
  numQueryTokens: number,
  imageTokenCount: number,
  languageHiddenSize: number,
): void {
  const qformer = takeQFormerWeights(weights, config, numQueryTokens, 0);
  const imageEmbeds = g.input('image_embeds', 'float', ['B', imageTokenCount, config.encoderHiddenSize]); // [B, N, Dv]
  const queryOutput = queriesAlone(g, qformer, config, { imageEmbeds, imageIndices: undefined }); // [B, Q, D]
  g.output('query_output', queryOutput); // [B, Q, D]
  g.output('image_tokens', projectToLanguage(g, weights, queryOutput, languageHiddenSize)); // [B, Q, d]
}

/**
 * Builds `qformer` that reads the instruction too: image_embeds [I, N, Dv], image_indices [B], qformer_input_ids [B, T] and
 * qformer_attention_mask [B, T] -> query_output [B, Q, D] and image_tokens [B, Q, d].
 *
 * Each row is an image and an instruction; `image_indices` says which image, so that several instructions about one share its keys and values.
 *
 * @param weights the whole checkpoint: `query_tokens`, `qformer.*` with its text branch, and `language_projection.*`. The text
 *   feed-forward part of the last layer is left over, since nobody reads what it would compute.
 */
export function buildInstructionQFormer(
  g: GraphBuilder,
  weights: CheckpointWeights,
  config: QFormerConfig,
  numQueryTokens: number,
  imageTokenCount: number,
  languageHiddenSize: number,
): void {
  const textWeights = takeTextEmbeddings(weights, config);
  const qformer = takeQFormerWeights(weights, config, numQueryTokens, config.numHiddenLayers - 1);
  const imageEmbeds = g.input('image_embeds', 'float', ['I', imageTokenCount, config.encoderHiddenSize]); // [I, N, Dv]
  const imageIndices = g.input('image_indices', 'int64', ['B']); // [B]
  const inputIds = g.input('qformer_input_ids', 'int64', ['B', 'T']); // [B, T]
  const attentionMask = g.input('qformer_attention_mask', 'int64', ['B', 'T']); // [B, T]

  const text = embedText(g, textWeights, inputIds); // [B, T, D]
  const mask = keyMask(g, attentionMask, numQueryTokens); // [B, Q + T]
  const queryOutput = queriesWithText(g, qformer, config, { imageEmbeds, imageIndices }, text, mask); // [B, Q, D]
  g.output('query_output', queryOutput); // [B, Q, D]
  g.output('image_tokens', projectToLanguage(g, weights, queryOutput, languageHiddenSize)); // [B, Q, d]
}
