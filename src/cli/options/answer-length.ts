/** How long an answer may and must get: what is typed before what the preset and the prompt family have, within what the model can hold. */
import { roomForText } from '../../engine/answer-room.ts';
import { UsageError } from '../../errors.ts';
import type { ModelDeclaration } from '../../pack/model-declaration.ts';
import type { PresetSettings } from '../../prompt/preset.ts';
import type { AnswerLength } from '../../prompt/prompt-family.ts';
import { required } from '../../required.ts';

/**
 * @param usual of the preset and the prompt family
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
    const source = preset.maxNewTokens === undefined ? "model's default" : "preset's most";
    const whose = typed.maxNewTokens === undefined ? `the ${source} of ${maxNewTokens}` : String(maxNewTokens);
    throw new UsageError(`--min-new-tokens ${minNewTokens} is more than --max-new-tokens, ${whose}.`);
  }
  const room = roomForText(required(model.language, 'the language model'), model);
  if (maxNewTokens > room) {
    throw new UsageError(
      `--max-new-tokens ${maxNewTokens}: the model ${model.id} has room for ${room} tokens after the image, prompt included.`,
    );
  }
  return { maxNewTokens, minNewTokens };
}
