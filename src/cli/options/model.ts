/** The options that say which model answers, and how: shared by every command that runs one. */
import { InvalidArgumentError, type Command } from 'commander';
import { wholeNumber } from './numbers.ts';

/** As typed: what is missing is decided later, by model and machine. */
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
export function addModelOption(command: Command): Command {
  return command
    .option('--model <id|path>', 'the model pack to use (default: MINIGPT_MODEL, else "nano")')
    .option('--threads <n>', 'threads for the model (default: one per core)', wholeNumber(1, MOST_THREADS));
}

/** Those of a command that runs it over images. */
export function addModelChoiceOptions(command: Command): Command {
  return addModelOption(command).option(
    '--batch-size <n|auto>',
    'images the model works on together; never changes an answer',
    batchSize,
    'auto',
  );
}

/** Those of a command whose model writes. */
export function addLengthOptions(command: Command): Command {
  return command
    .option('--max-new-tokens <n>', "end an answer after this many tokens (default: the model's)", wholeNumber(1))
    .option('--min-new-tokens <n>', "do not end it before this many (default: the model's)", wholeNumber(0));
}

/** Those of a command whose model writes about images. */
export function addModelOptions(command: Command): Command {
  return addLengthOptions(
    addModelChoiceOptions(command).option('--show-prompt', 'write the exact text the model reads to stderr'),
  );
}

function batchSize(value: string): number | 'auto' {
  if (value === 'auto') return value;
  try {
    return wholeNumber(1, MOST_ROWS)(value);
  } catch {
    throw new InvalidArgumentError(`It should be a whole number from 1 to ${MOST_ROWS}, or auto.`);
  }
}
