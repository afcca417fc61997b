/** How long an answer may and must be. An option overrides the preset, which overrides the prompt family. The model sets the limit. */
import { UsageError } from '../../errors.ts';
import type { ModelDeclaration } from '../../pack/model-declaration.ts';
import type { PresetSettings } from '../../prompt/preset.ts';
import type { AnswerLength } from '../../prompt/prompt-family.ts';

/** How many tokens fit after the image. With an encoder, the image is read there and the decoder writes from position 0. */
export function roomForText({ language, numImageTokens }: ModelDeclaration): number {
  const positions = language?.maxPositionEmbeddings ?? 0;
  return language?.kind === 'encoder-decoder' ? positions : positions - numImageTokens;
}

/**
 * @param usual the lengths of the preset and the prompt family
 * @throws UsageError when the lengths contradict each other or the model cannot hold them.
 */
export function resolveLength(
  typed: { maxNewTokens?: number; minNewTokens?: number },
  usual: AnswerLength,
  preset: Pick<PresetSettings, 'maxNewTokens'>,
  model: ModelDeclaration,
): AnswerLength {
  const maxNewTokens = typed.maxNewTokens ?? usual.maxNewTokens;
  const minNewTokens = typed.minNewTokens ?? Math.min(usual.minNewTokens, maxNewTokens);
  if (minNewTokens > maxNewTokens) {
    const source = preset.maxNewTokens === undefined ? 'the default of the model' : 'set by the preset';
    const note = typed.maxNewTokens === undefined ? ` (${source})` : '';
    throw new UsageError(`--min-new-tokens ${minNewTokens} is more than --max-new-tokens ${maxNewTokens}${note}.`);
  }
  const room = roomForText(model);
  if (maxNewTokens > room) {
    throw new UsageError(
      `--max-new-tokens ${maxNewTokens} is too long: the model ${model.id} has room for ${room} tokens after the image, including the prompt.`,
    );
  }
  return { maxNewTokens, minNewTokens };
}
