/** `--preset NAME`: a published setting of the model's prompt family, and how such settings are shown to a user. */
import { UsageError } from '../../errors.ts';
import type { ModelDeclaration } from '../../pack/model-declaration.ts';
import type { Preset, PresetSettings, PresetTask } from '../../prompt/preset.ts';

export const PRESET_HELP =
  'use published settings; "minigpt models show" lists the presets of a model, and other options override them';

/**
 * The settings of the preset that the user named, or empty settings if the user named none.
 *
 * @throws UsageError when the model has no preset of this name, or has it for another task. The message lists those that fit.
 */
export function choosePreset(
  name: string | undefined,
  task: PresetTask,
  presets: readonly Preset[],
  { id, language }: Pick<ModelDeclaration, 'id' | 'language'>,
): PresetSettings {
  if (name === undefined) return {};
  const preset = presets.find((known) => known.name === name);
  if (preset?.tasks.includes(task) === true) return preset.settingsFor(language?.kind);
  const fitting = presets.filter(({ tasks }) => tasks.includes(task)).map((known) => known.name);
  const choice =
    fitting.length === 0 ? `It has no presets for ${task}.` : `Its presets for ${task} are ${fitting.join(', ')}.`;
  const problem =
    preset === undefined
      ? `the model ${id} has no preset with this name.`
      : `this preset is for ${preset.tasks.join(' and ')}, not for ${task}.`;
  throw new UsageError(`--preset ${name}: ${problem} ${choice}`);
}

/** Settings in the words of the options that have the same effect, such as `5 beams, length penalty 1, at most 30 tokens`. */
export function describeSettings(settings: PresetSettings): string {
  const { prompt, questionTemplate, beams, lengthPenalty, repetitionPenalty, noRepeatNgram, sampling } = settings;
  const { maxNewTokens, minNewTokens = 0 } = settings;
  const parts: string[] = [];
  if (prompt !== undefined) parts.push(`prompt ${JSON.stringify(prompt)}`);
  if (questionTemplate !== undefined) parts.push(`question ${JSON.stringify(questionTemplate.source)}`);
  if (beams !== undefined) parts.push(`${beams} beams`);
  if (lengthPenalty !== undefined) parts.push(`length penalty ${lengthPenalty}`);
  if (sampling !== undefined) {
    parts.push(`sampling at temperature ${sampling.temperature}, top-k ${sampling.topK}, top-p ${sampling.topP}`);
  }
  if (repetitionPenalty !== undefined) parts.push(`repetition penalty ${repetitionPenalty}`);
  if (noRepeatNgram !== undefined) parts.push(`no ${noRepeatNgram}-gram twice`);
  if (minNewTokens > 0) parts.push(`at least ${minNewTokens} tokens`);
  if (maxNewTokens !== undefined) parts.push(`at most ${maxNewTokens} tokens`);
  return parts.join(', ');
}
