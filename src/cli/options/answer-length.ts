/** How long an answer may and must be. An option overrides the preset, which overrides the prompt family. The model sets the limit. */
import { roomForText } from '../../engine/answer-room.ts';
import { UsageError } from '../../errors.ts';
import type { ModelDeclaration } from '../../pack/model-declaration.ts';
import type { PresetSettings } from '../../prompt/preset.ts';
import type { AnswerLength } from '../../prompt/prompt-family.ts';
import { required } from '../../required.ts';

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
  const room = roomForText(required(model.language, 'the language model'), model);
  if (maxNewTokens > room) {
    throw new UsageError(
      `--max-new-tokens ${maxNewTokens} is too long: the model ${model.id} has room for ${room} tokens after the image, including the prompt.`,
    );
  }
  return { maxNewTokens, minNewTokens };
}
