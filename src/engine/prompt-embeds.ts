/**
 * A prompt as a language model reads it: the embeddings of its text with the image tokens in their place. Whoever reads prompts does it with this,
 * the comparison with golden records included.
 *
 * T positions, Q image tokens, d hidden size.
 */
import type { LanguageModel, RowEmbeds } from '../language/language-model.ts';
import type { LanguageDeclaration } from '../pack/model-declaration.ts';
import type { PromptIds } from './model.ts';

/** A prompt with the image tokens [Q, d] that stand where its image is. */
export type ImagePrompt = { segments: PromptIds['segments']; imageTokens: Float32Array };

/**
 * Positions that a prompt takes in the model's input.
 *
 * @throws RangeError when there are no image tokens, or tokens of another width, for a prompt that has an image.
 */
export function promptLength({ segments, imageTokens }: ImagePrompt, { hiddenSize }: LengthDeclaration): number {
  return segments.reduce(
    (sum, segment) => sum + (segment === null ? imageLength(imageTokens, hiddenSize) : segment.length),
    0,
  );
}

/**
 * Embeds the positions of a prompt from `start` to before `end`: all of them, unless a part is asked for.
 *
 * @returns [T, d]
 * @throws RangeError when the parts of the pack do not fit each other: image tokens or token embeddings of another width than the language model's.
 */
export async function embedPrompt(
  language: Pick<LanguageModel, 'embedTokens'> & { declaration: LengthDeclaration },
  prompt: ImagePrompt,
  start = 0,
  end = promptLength(prompt, language.declaration),
): Promise<RowEmbeds> {
  const { hiddenSize } = language.declaration;
  const length = end - start;
  const embeds = new Float32Array(length * hiddenSize); // [T, d]
  let position = 0;
  for (const segment of prompt.segments) {
    const segmentLength = segment === null ? imageLength(prompt.imageTokens, hiddenSize) : segment.length;
    const from = Math.max(start - position, 0);
    const to = Math.min(end - position, segmentLength);
    if (from < to) {
      const part =
        segment === null
          ? prompt.imageTokens.subarray(from * hiddenSize, to * hiddenSize)
          : await embedTokens(language, segment.slice(from, to)); // [to - from, d]
      embeds.set(part, (position + from - start) * hiddenSize);
    }
    position += segmentLength;
  }
  return { embeds, length };
}

type LengthDeclaration = Pick<LanguageDeclaration, 'hiddenSize'>;

async function embedTokens(
  language: Pick<LanguageModel, 'embedTokens'> & { declaration: LengthDeclaration },
  tokenIds: readonly number[],
): Promise<Float32Array> {
  const { hiddenSize } = language.declaration;
  const embeds = await language.embedTokens(tokenIds); // [T, d]
  if (embeds.length === tokenIds.length * hiddenSize) return embeds;
  throw new RangeError(
    `the token embeddings are ${embeds.length / tokenIds.length} numbers wide, and the hidden size of the language model is ${hiddenSize}: the parts of this pack do not belong together`,
  );
}

/** Positions that an image takes: Q, or as many as its keys and values have the size of (`query-prefix.ts`). */
function imageLength(imageTokens: Float32Array, hiddenSize: number): number {
  const length = imageTokens.length / hiddenSize;
  if (Number.isInteger(length) && length > 0) return length;
  throw new RangeError(
    imageTokens.length === 0
      ? 'the image has no image tokens'
      : `the image tokens are ${imageTokens.length} numbers, which is no multiple of the hidden size of the language model, ${hiddenSize}: the parts of this pack do not belong together`,
  );
}
