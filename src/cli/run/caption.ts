/** `minigpt caption`: one description per image. */
import type { Command } from 'commander';
import { addInputOptions } from '../options/input.ts';
import { addDecodingOptions } from '../options/decoding.ts';
import { addDetailOptions } from '../options/detail.ts';
import { addModelOptions } from '../options/model.ts';
import { addOutputOptions } from '../options/output.ts';
import type { RunOptions } from '../options/settings.ts';

export function completeCaptionCommand(command: Command): void {
  addInputOptions(command);
  addModelOptions(command).option('--prompt <text>', 'a beginning that the model continues');
  addDetailOptions(command);
  addDecodingOptions(command, SEED_HELP);
  addOutputOptions(command, '-q, --quiet')
    .addHelpText('after', EXAMPLES)
    .action(async (paths: string[], options: RunOptions & { prompt?: string }) => {
      const { runCommand } = await import('./writing-run.ts');
      process.exitCode = await runCommand({ kind: 'caption', prompt: options.prompt }, paths, options);
    });
}

const SEED_HELP =
  'with --sample: another number, other captions; with --detail: another wording of the instruction (default: 0)';

const EXAMPLES = `
Examples:
  minigpt caption photos/
  minigpt caption photos/ -o captions.jsonl
  minigpt caption 'photos/**/*.jpg' --exclude '**/raw/**' --format csv > captions.csv
  minigpt caption photos/ --prompt "a photo of"
  minigpt caption photos/ --beams 5 --no-repeat-ngram 3
  minigpt caption photos/ --preset paper-nocaps
  minigpt caption photos/ --detail --model minigpt4-7b
  minigpt caption photos/ --sample --temperature 0.7 --seed 1
  find . -name '*.png' -print0 | minigpt caption --files-from - -0`;
