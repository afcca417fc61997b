/** The options that choose the model and how it runs. */
import { InvalidArgumentError, type Command } from 'commander';
import { GROUP } from '../help/groups.ts';
import { wholeNumber } from './numbers.ts';

/** As typed. What is missing depends on the model and the machine, and is filled in later. */
export type ModelChoiceOptions = {
  model?: string;
  threads?: number;
  batchSize: number | 'auto';
};

export type ModelOptions = ModelChoiceOptions & {
  showPrompt?: boolean;
  maxNewTokens?: number;
  minNewTokens?: number;
};

const MOST_THREADS = 512;
const MOST_ROWS = 1024;

/** The options of every command that runs a model. */
export function addModelOptions(command: Command): Command {
  return command
    .optionsGroup(GROUP.model)
    .option('--model <id|path>', 'id or folder of the model pack (default: the variable MINIGPT_MODEL, or nano)')
    .option(
      '--threads <n>',
      'number of CPU threads for the model (default: one per core)',
      wholeNumber(1, MOST_THREADS),
    );
}

/** The same for a command that runs the model on many images. */
export function addBatchModelOptions(command: Command): Command {
  return addModelOptions(command).option(
    '--batch-size <n|auto>',
    'number of images that the model processes together; does not change the answers',
    batchSize,
    'auto',
  );
}

export function addShowPromptOption(command: Command): Command {
  return command
    .optionsGroup(GROUP.general)
    .option('--show-prompt', 'show the exact text that the model reads, on standard error');
}

function batchSize(value: string): number | 'auto' {
  if (value === 'auto') return value;
  try {
    return wholeNumber(1, MOST_ROWS)(value);
  } catch {
    throw new InvalidArgumentError(`It should be a whole number from 1 to ${MOST_ROWS}, or auto.`);
  }
}
