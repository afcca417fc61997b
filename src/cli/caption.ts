/** `minigpt caption`: one description per image. */
import type { Command } from 'commander';
import { addInputOptions } from './input-options.ts';
import { addDecodingOptions } from './decoding-options.ts';
import { addDetailOptions } from './detail-options.ts';
import { addModelOptions } from './model-options.ts';
import { addOutputOptions } from './output-options.ts';
import type { RunOptions } from './settings.ts';

export function completeCaptionCommand(command: Command): void {
  addInputOptions(command);
  addModelOptions(command).option('--prompt <text>', 'a beginning that the model continues');
  addDetailOptions(command);
  addDecodingOptions(command, SEED_HELP);
  addOutputOptions(command, '-q, --quiet')
    .addHelpText('after', EXAMPLES)
    .action(async (paths: string[], options: RunOptions & { prompt?: string }) => {
      const { runCommand } = await import('./run-command.ts');
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
