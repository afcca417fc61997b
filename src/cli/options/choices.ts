/** The options of `ask` that give the answers to choose from, instead of letting the model write one. */
import type { Command } from 'commander';
import { UsageError } from '../../errors.ts';
import type { DecodingOptions } from './decoding.ts';
import { collect } from './input.ts';
import type { ModelOptions } from './model.ts';

/** As typed. */
export type ChoiceOptions = { choices?: string[]; yesNo?: boolean; scores?: boolean };

/** Options that say how an answer is written, with their flags: where answers are given, they would have no effect. */
const WRITING_FLAGS = {
  maxNewTokens: '--max-new-tokens',
  minNewTokens: '--min-new-tokens',
  beams: '--beams',
  lengthPenalty: '--length-penalty',
  repetitionPenalty: '--repetition-penalty',
  noRepeatNgram: '--no-repeat-ngram',
  sample: '--sample',
  temperature: '--temperature',
  topK: '--top-k',
  topP: '--top-p',
  seed: '--seed',
  stop: '--stop',
  preset: '--preset',
} as const satisfies Readonly<Partial<Record<keyof (ModelOptions & DecodingOptions), string>>>;

export function addChoiceOptions(command: Command): Command {
  return command
    .option(
      '--choices <list>',
      'answer with the likeliest of these, comma-separated as in CSV; may be repeated',
      collect,
    )
    .option('--yes-no', 'the same as --choices yes,no')
    .option('--scores', 'with --choices or --yes-no: add the scores of all of them to each record');
}

/**
 * The choices that the options give; undefined where the model is to write the answer.
 *
 * @throws UsageError when they are no choice, or another option would have no effect.
 */
export function resolveChoices(options: ChoiceOptions & ModelOptions & DecodingOptions): string[] | undefined {
  const { choices: lists, yesNo = false, scores = false } = options;
  if (lists === undefined && !yesNo) {
    if (scores) throw new UsageError('--scores compares choices, and there are none. Add --choices or --yes-no.');
    return undefined;
  }
  if (lists !== undefined && yesNo) {
    throw new UsageError('--yes-no stands for --choices yes,no, so the two exclude each other. Choose one.');
  }
  const flag = yesNo ? '--yes-no' : '--choices';
  for (const [key, writing] of Object.entries(WRITING_FLAGS)) {
    if (options[key as keyof typeof WRITING_FLAGS] !== undefined) {
      throw new UsageError(
        `${writing} says how the model writes an answer, and with ${flag} it writes none. Leave one of the two out.`,
      );
    }
  }
  return lists === undefined ? ['yes', 'no'] : checkedChoices(lists.flatMap(parseChoices));
}

function checkedChoices(choices: string[]): string[] {
  if (choices.includes('')) throw new UsageError('--choices: a choice is empty. Write something between the commas.');
  const repeated = choices.find((choice, index) => choices.indexOf(choice) < index);
  if (repeated !== undefined) throw new UsageError(`--choices: "${repeated}" is given twice. Leave one out.`);
  const [only] = choices;
  if (choices.length === 1)
    throw new UsageError(`--choices: there is nothing to choose beside "${only}". Give another.`);
  return choices;
}

/** A choice and what ends it: in quotes, which nothing but white space surrounds, or plain. */
const CHOICE = /\s*(?:"((?:[^"]|"")*)"\s*|([^,]*))(,|$)/uy;

/**
 * The choices of a list, without the white space around them.
 *
 * @throws UsageError when a quote is not closed, or a text goes on behind one.
 */
export function parseChoices(list: string): string[] {
  const choices: string[] = [];
  for (let position = 0; ;) {
    CHOICE.lastIndex = position;
    const [whole, quoted, plain = '', end] = CHOICE.exec(list) ?? [];
    if (whole === undefined || plain.startsWith('"')) throw wrongQuotes(list.slice(position));
    choices.push((quoted?.replaceAll('""', '"') ?? plain).trim());
    if (end === '') return choices;
    position += whole.length;
  }
}

function wrongQuotes(rest: string): UsageError {
  return new UsageError(
    `--choices: the quotes of ${rest.trim()} are not closed, or something stands behind them. Put quotes around a whole choice, and write a quote inside as two.`,
  );
}
