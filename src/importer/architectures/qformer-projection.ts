/**
 * From the Q-Former, or straight from the image encoder, into the language model: one linear layer, or two in a row without
 * anything between them (TinyGPT-V).
 *
 * B images, N = P + 1 image embeddings of width Dv (the class token first), R rows, d hidden size of the language model.
 */
import { linear, reshape } from '../graph/operators.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import { cutRows } from '../graph/rows.ts';
import type { Value } from '../graph/value.ts';
import type { CheckpointWeights } from '../read/weights.ts';

/** Neighbouring patches that make one image token where there is no Q-Former. */
export const PATCHES_PER_TOKEN = 4;

/** `language_projection`, and `language_projection2` where the checkpoint has it: [B, R, K] -> [B, R, d]. */
export function projectToLanguage(
  g: GraphBuilder,
  weights: CheckpointWeights,
  hidden: Value,
  languageHiddenSize: number,
): Value {
  const hasSecond = weights.has('language_projection2.weight');
  const between = hasSecond ? weights.rows('language_projection.weight') : languageHiddenSize;
  const projected = project(g, weights, 'language_projection', hidden, between); // [B, R, d or between]
  return hasSecond ? project(g, weights, 'language_projection2', projected, languageHiddenSize) : projected; // [B, R, d]
}

/**
 * Builds `qformer` of a model without Q-Former (MiniGPT-4 with LLaMA-2, MiniGPT-v2): image_embeds [B, N, Dv] -> image_tokens [B, P / 4, d],
 * four patches that follow each other in a line of the image to a token.
 *
 * @returns P / 4, the image tokens
 * @throws RangeError when the patches do not go into groups of four.
 */
export function buildPatchProjection(
  g: GraphBuilder,
  weights: CheckpointWeights,
  imageTokenCount: number,
  visionHiddenSize: number,
  languageHiddenSize: number,
): number {
  const P = imageTokenCount - 1;
  if (P % PATCHES_PER_TOKEN !== 0) throw new RangeError(`${P} patches do not go into groups of ${PATCHES_PER_TOKEN}`);
  const imageEmbeds = g.input('image_embeds', 'float', ['B', imageTokenCount, visionHiddenSize]); // [B, N, Dv]
  const patches = cutRows(g, imageEmbeds, 1, P); // [B, P, Dv]
  const [tokens, width] = [P / PATCHES_PER_TOKEN, PATCHES_PER_TOKEN * visionHiddenSize];
  const grouped = reshape(g, patches, [0, tokens, width], ['B', tokens, width]); // [B, P / 4, 4Dv]
  g.output('image_tokens', projectToLanguage(g, weights, grouped, languageHiddenSize)); // [B, P / 4, d]
  return tokens;
}

function project(g: GraphBuilder, weights: CheckpointWeights, name: string, x: Value, outputs: number): Value {
  const inputs = x.shape.at(-1);
  if (typeof inputs !== 'number') throw new RangeError('the width of a projection is fixed');
  const projection = weights.at(name);
  return linear(g, x, projection.take('weight', [outputs, inputs]), projection.take('bias', [outputs])); // [B, R, outputs]
}
