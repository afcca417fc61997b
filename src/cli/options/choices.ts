/** The options of `ask` with which the model chooses one of given answers instead of writing its own. */
import type { Command } from 'commander';
import { UsageError } from '../../errors.ts';
import { GROUP } from '../help/groups.ts';
import type { DecodingOptions } from './decoding.ts';
import { collect } from './input.ts';
import type { ModelOptions } from './model.ts';

/** As typed. */
export type ChoiceOptions = { choices?: string[]; yesNo?: boolean; scores?: boolean };

/** Options that say how an answer is written, with their flags. With given answers they would have no effect. */
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
    .optionsGroup(GROUP.questions)
    .option(
      '--choices <list>',
      'answer with the likeliest of these texts, separated by commas as in CSV; may be repeated',
      collect,
    )
    .option('--yes-no', 'the same as --choices yes,no')
    .option('--scores', 'with --choices or --yes-no: add the scores of all choices to each record');
}

/**
 * The choices that the options give; undefined if the model writes its own answer.
 *
 * @throws UsageError when the choices cannot be used, or another option would have no effect.
 */
export function resolveChoices(options: ChoiceOptions & ModelOptions & DecodingOptions): string[] | undefined {
  const { choices: lists, yesNo = false, scores = false } = options;
  if (lists === undefined && !yesNo) {
    if (scores) throw new UsageError('--scores has no effect without choices. Add --choices or --yes-no.');
    return undefined;
  }
  if (lists !== undefined && yesNo) {
    throw new UsageError('--yes-no means --choices yes,no, so the two cannot be used together. Choose one.');
  }
  const flag = yesNo ? '--yes-no' : '--choices';
  for (const [key, writing] of Object.entries(WRITING_FLAGS)) {
    if (options[key as keyof typeof WRITING_FLAGS] !== undefined) {
      throw new UsageError(
        `${writing} has no effect with ${flag}: the model chooses an answer and does not write one. Leave one of the two out.`,
      );
    }
  }
  return lists === undefined ? ['yes', 'no'] : checkedChoices(lists.flatMap(parseChoices));
}

function checkedChoices(choices: string[]): string[] {
  if (choices.includes('')) throw new UsageError('--choices: a choice is empty. Write a text between the commas.');
  const repeated = choices.find((choice, index) => choices.indexOf(choice) < index);
  if (repeated !== undefined) throw new UsageError(`--choices: "${repeated}" is given twice. Leave one out.`);
  const [only] = choices;
  if (choices.length === 1) throw new UsageError(`--choices: "${only}" is the only choice. Give at least two.`);
  return choices;
}

/** A choice and what ends it. It is plain, or in quotes that have only white space around them. */
const CHOICE = /\s*(?:"((?:[^"]|"")*)"\s*|([^,]*))(,|$)/uy;

/**
 * The choices of a list, without the white space around them.
 *
 * @throws UsageError when a quote is not closed, or more text follows it.
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
    `--choices: wrong quotes in ${rest.trim()}. Put the quotes around a whole choice, and write a quote inside it twice.`,
  );
}
