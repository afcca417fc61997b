/** `minigpt ask`: one answer per image and question. */
import { InvalidArgumentError, type Command } from 'commander';
import { GROUP } from '../help/groups.ts';
import { addHelpEnd } from '../help/layout.ts';
import { addChoiceOptions, resolveChoices, type ChoiceOptions } from '../options/choices.ts';
import { addInputOptions, collect } from '../options/input.ts';
import { addDecodingOptions } from '../options/decoding.ts';
import { addBatchModelOptions, addShowPromptOption } from '../options/model.ts';
import { addOutputOptions, OUTPUT_NOTE } from '../options/output.ts';
import type { RunOptions } from '../options/settings.ts';

/** As typed. */
type AskOptions = RunOptions & ChoiceOptions & { question: string[] };

export function completeAskCommand(command: Command): void {
  command.description('Answers one or more questions about each image.');
  addInputOptions(command)
    .optionsGroup(GROUP.questions)
    .requiredOption('-q, --question <text>', 'the question to ask; required, may be repeated', collectQuestion);
  addChoiceOptions(command);
  addBatchModelOptions(command);
  addDecodingOptions(command);
  addOutputOptions(command, '--quiet');
  addShowPromptOption(command);
  addHelpEnd(command, EXAMPLES, [OUTPUT_NOTE]).action(async (paths: string[], options: AskOptions) => {
    const choices = resolveChoices(options);
    const { runCommand } = await import('./writing-run.ts');
    const task = { kind: 'ask', questions: options.question, ...(choices === undefined ? {} : { choices }) } as const;
    process.exitCode = await runCommand(task, paths, options);
  });
}

function collectQuestion(question: string, previous?: string[]): string[] {
  if (question.trim() === '') throw new InvalidArgumentError('A question must not be empty.');
  return collect(question, previous);
}

const EXAMPLES = [
  'minigpt ask photos/ -q "What is the animal doing?"',
  'minigpt ask photos/ -q "How many people are there?" -q "What is the weather?"',
  'minigpt ask photos/ -q "What is on the table?" -o answers.csv',
  'minigpt ask photos/ -q "What is on the table?" --preset paper-vqa',
  'minigpt ask photos/ -q "Is there a dog in the photo?" --yes-no',
  'minigpt ask photos/ -q "Where is it?" --choices kitchen,street,forest --scores',
];
