/** `minigpt caption`: one description per image. */
import type { Command } from 'commander';
import { GROUP } from '../help/groups.ts';
import { addHelpEnd } from '../help/layout.ts';
import { addInputOptions } from '../options/input.ts';
import { addDecodingOptions } from '../options/decoding.ts';
import { addDetailOptions } from '../options/detail.ts';
import { addBatchModelOptions, addShowPromptOption } from '../options/model.ts';
import { addOutputOptions, OUTPUT_NOTE } from '../options/output.ts';
import type { RunOptions } from '../options/settings.ts';

export function completeCaptionCommand(command: Command): void {
  command.description('Writes a description of each image, usually one sentence.');
  addInputOptions(command).optionsGroup(GROUP.captions).option('--prompt <text>', PROMPT_HELP);
  addDetailOptions(command);
  addBatchModelOptions(command);
  addDecodingOptions(command, SEED_HELP);
  addOutputOptions(command, '-q, --quiet');
  addShowPromptOption(command);
  addHelpEnd(command, EXAMPLES, [OUTPUT_NOTE]).action(
    async (paths: string[], options: RunOptions & { prompt?: string }) => {
      const { runCommand } = await import('./writing-run.ts');
      process.exitCode = await runCommand({ kind: 'caption', prompt: options.prompt }, paths, options);
    },
  );
}

const PROMPT_HELP = 'text that the model continues, or an instruction for a model that takes instructions';

const SEED_HELP =
  'with --sample: a different number gives different captions; with --detail: selects the wording of the instruction (default: 0)';

const EXAMPLES = [
  'minigpt caption photos/',
  'minigpt caption photos/ -o captions.jsonl',
  `minigpt caption 'photos/**/*.jpg' --exclude '**/raw/**' -o captions.csv`,
  'minigpt caption photos/ --prompt "a photo of"',
  'minigpt caption photos/ --beams 5 --no-repeat-ngram 3',
  'minigpt caption photos/ --preset paper-nocaps',
  'minigpt caption photos/ --sample --temperature 0.7 --seed 1',
  'minigpt caption photos/ --detail --model minigpt4-vicuna-7b',
  `find . -name '*.png' -print0 | minigpt caption --files-from - -0`,
];
