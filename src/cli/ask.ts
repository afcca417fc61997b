/** `minigpt ask`: one answer per image and question. */
import { InvalidArgumentError, type Command } from 'commander';
import { addInputOptions, collect } from './input-options.ts';
import { addDecodingOptions } from './decoding-options.ts';
import { addModelOptions } from './model-options.ts';
import { addOutputOptions } from './output-options.ts';
import type { RunOptions } from './settings.ts';

export function addAskCommand(program: Command): void {
  const command = program.command('ask').description('answer questions about each image');
  addInputOptions(command).requiredOption('-q, --question <text>', 'what to ask; may be repeated', collectQuestion);
  addModelOptions(command);
  addDecodingOptions(command);
  addOutputOptions(command, '--quiet')
    .addHelpText('after', EXAMPLES)
    .action(async (paths: string[], options: RunOptions & { question: string[] }) => {
      const { runCommand } = await import('./run-command.ts');
      process.exitCode = await runCommand({ kind: 'ask', questions: options.question }, paths, options);
    });
}

function collectQuestion(question: string, previous?: string[]): string[] {
  if (question.trim() === '') throw new InvalidArgumentError('A question must not be empty.');
  return collect(question, previous);
}

const EXAMPLES = `
Examples:
  minigpt ask photos/ -q "What is the animal doing?"
  minigpt ask photos/ -q "How many people are there?" -q "What is the weather like?" -o answers.csv
  minigpt ask photos/ -q "What is on the table?" --preset paper-vqa`;
