/** `caption --detail`: a detailed description. How the model is asked for it depends on its prompt family. */
import { Option, type Command } from 'commander';
import { UsageError } from '../../errors.ts';
import { GROUP } from '../help/groups.ts';
import type { DetailTask } from '../../pipeline/settings.ts';
import type { PromptFamily } from '../../prompt/prompt-family.ts';

/** As typed. */
export type DetailOptions = { detail?: boolean; allWordings?: boolean; preset?: string; seed?: number };

export function addDetailOptions(command: Command): Command {
  return command
    .optionsGroup(GROUP.captions)
    .addOption(
      new Option(
        '--detail',
        'describe in detail. A model that takes instructions is asked for detail, and asked to continue if it wrote fewer than 80 tokens. ' +
          'With any other model, decoding favours long captions. Repetitions and an unfinished end are removed.',
      ).conflicts('prompt'),
    )
    .option(
      '--all-wordings',
      'with --detail: write one description for each wording of the instruction; without it, --seed selects one wording',
    );
}

/** What `--detail` means for a model. `preset` is the one that it stands for, if any. */
export type ChosenDetail = { detail: DetailTask; preset: string | undefined };

/**
 * What the options ask for; undefined without `--detail`.
 *
 * @param id of the model, for messages
 * @throws UsageError when the model cannot describe in detail, or another option contradicts.
 */
export function chooseDetail(
  options: DetailOptions,
  { detail: family, presets }: Pick<PromptFamily, 'detail' | 'presets'>,
  id: string,
): ChosenDetail | undefined {
  const { detail = false, allWordings = false, seed = 0 } = options;
  if (!detail) {
    if (allWordings)
      throw new UsageError('--all-wordings has no effect without --detail. Add --detail, or leave --all-wordings out.');
    return undefined;
  }
  if (family === undefined) {
    throw new UsageError(
      `--detail: the model ${id} only writes short captions. Choose a model that has a language model.`,
    );
  }
  if (family.kind === 'preset') {
    if (allWordings) {
      throw new UsageError(`--all-wordings: the model ${id} takes no instructions. Leave the option out.`);
    }
    if (options.preset !== undefined) {
      throw new UsageError(
        `--preset ${options.preset}: for the model ${id}, --detail already means the preset ${family.preset}. Choose one of the two.`,
      );
    }
    return { detail: { instructions: [], goOn: undefined }, preset: family.preset };
  }
  const { prompt } = presets.find(({ name }) => name === options.preset)?.settingsFor(undefined) ?? {};
  if (prompt !== undefined) {
    throw new UsageError(
      `--preset ${options.preset} and --detail have different prompts; that of the preset is ${JSON.stringify(prompt)}. Choose one of the two.`,
    );
  }
  const { instructions, goOn } = family;
  const chosen = instructions[seed % instructions.length] ?? instructions[0];
  return { detail: { instructions: allWordings ? instructions : [chosen], goOn }, preset: options.preset };
}
