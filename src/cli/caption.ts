/** `minigpt caption`: one description per image. */
import type { Command } from 'commander';
import { addInputOptions } from './input-options.ts';
import { addModelOptions } from './model-options.ts';
import { addOutputOptions } from './output-options.ts';
import type { RunOptions } from './settings.ts';

export function addCaptionCommand(program: Command): void {
  const command = program.command('caption').description('describe each image in a sentence');
  addInputOptions(command);
  addModelOptions(command).option('--prompt <text>', 'a beginning that the model continues');
  addOutputOptions(command, '-q, --quiet')
    .addHelpText('after', EXAMPLES)
    .action(async (paths: string[], options: RunOptions & { prompt?: string }) => {
      const { runCommand } = await import('./run-command.ts');
      process.exitCode = await runCommand({ kind: 'caption', prompt: options.prompt }, paths, options);
    });
}

const EXAMPLES = `
Examples:
  minigpt caption photos/
  minigpt caption photos/ -o captions.jsonl
  minigpt caption 'photos/**/*.jpg' --exclude '**/raw/**' --format csv > captions.csv
  minigpt caption photos/ --prompt "a photo of"
  find . -name '*.png' -print0 | minigpt caption --files-from - -0`;
