/** `caption --detail`: a detailed description, in the way of the model's prompt family. */
import { Option, type Command } from 'commander';
import { UsageError } from '../../errors.ts';
import type { DetailTask } from '../../pipeline/settings.ts';
import type { PromptFamily } from '../../prompt/prompt-family.ts';

/** As typed. */
export type DetailOptions = { detail?: boolean; allWordings?: boolean; preset?: string; seed?: number };

export function addDetailOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--detail',
        'describe in detail; a model that takes instructions is told so, and asked to go on where it wrote fewer than 80 tokens, ' +
          'another is decoded for long captions; repetition and a trailing fragment are taken off',
      ).conflicts('prompt'),
    )
    .option('--all-wordings', 'with --detail: a description for each wording of the instruction, not one by --seed');
}

/** What `--detail` comes to for a model, with the preset that it stands for, if any. */
export type ChosenDetail = { detail: DetailTask; preset: string | undefined };

/**
 * Undefined where no detail is asked for.
 *
 * @param id of the model, for messages
 * @throws UsageError when the model cannot be asked, or another option says otherwise.
 */
export function chooseDetail(
  options: DetailOptions,
  { detail: family, presets }: Pick<PromptFamily, 'detail' | 'presets'>,
  id: string,
): ChosenDetail | undefined {
  const { detail = false, allWordings = false, seed = 0 } = options;
  if (!detail) {
    if (allWordings) throw new UsageError('--all-wordings is for --detail. Add it, or leave this one out.');
    return undefined;
  }
  if (family === undefined) {
    throw new UsageError(
      `--detail: the model ${id} writes short captions alone. Choose a model with a language model.`,
    );
  }
  if (family.kind === 'preset') {
    if (allWordings) {
      throw new UsageError(`--all-wordings: the model ${id} takes no instruction. Leave the option out.`);
    }
    if (options.preset !== undefined) {
      throw new UsageError(
        `--preset ${options.preset}: for the model ${id}, --detail stands for the preset ${family.preset}. Choose one.`,
      );
    }
    return { detail: { instructions: [], goOn: undefined }, preset: family.preset };
  }
  const { prompt } = presets.find(({ name }) => name === options.preset)?.settingsFor(undefined) ?? {};
  if (prompt !== undefined) {
    throw new UsageError(
      `--preset ${options.preset} has the prompt ${JSON.stringify(prompt)}, --detail another. Choose one.`,
    );
  }
  const { instructions, goOn } = family;
  const chosen = instructions[seed % instructions.length] ?? instructions[0];
  return { detail: { instructions: allWordings ? instructions : [chosen], goOn }, preset: options.preset };
}
