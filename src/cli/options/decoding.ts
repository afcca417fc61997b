/** The options that say how an answer is decoded: length, beams, penalties, sampling, and what ends it. */
import { InvalidArgumentError, type Command } from 'commander';
import type { AnswerOptions } from '../../engine/model.ts';
import { UsageError } from '../../errors.ts';
import type { PresetSettings } from '../../prompt/preset.ts';
import { GROUP } from '../help/groups.ts';
import { collect } from './input.ts';
import { decimalNumber, wholeNumber } from './numbers.ts';
import { PRESET_HELP } from './preset.ts';

/** As typed. */
export type DecodingOptions = {
  preset?: string;
  beams?: number;
  lengthPenalty?: number;
  repetitionPenalty?: number;
  noRepeatNgram?: number;
  sample?: boolean;
  temperature?: number;
  topK?: number;
  topP?: number;
  seed?: number;
  stop?: string[];
};

const MOST_BEAMS = 64;

/** The defaults of transformers, and the top-p of LAVIS and MiniGPT-4. */
const SAMPLING = { temperature: 1, topK: 50, topP: 0.9, seed: 0 } as const;

/** The sampling options with their flags. */
const SAMPLING_FLAGS = { temperature: '--temperature', topK: '--top-k', topP: '--top-p', seed: '--seed' } as const;

const SEED_HELP = 'with --sample: a different number gives different answers (default: 0)';

/** @param seedHelp for a command in which not only sampling depends on the seed */
export function addDecodingOptions(command: Command, seedHelp: string = SEED_HELP): Command {
  const power = decimalNumber('from -10 to 10', (number) => Math.abs(number) <= 10);
  addPresetAndLengthOptions(command)
    .option(
      '--beams <n>',
      'beam search: follow n possible answers and take the best (default: 1, no beam search)',
      wholeNumber(1, MOST_BEAMS),
    )
    .option(
      '--length-penalty <x>',
      'with --beams: above 0 favours long answers, below 0 short answers (default: 1)',
      power,
    );
  return addTokenOptions(command, seedHelp).option(
    '--stop <text>',
    'end an answer before this text; may be repeated',
    collectStop,
  );
}

/** For every command whose model writes text. */
export function addPresetAndLengthOptions(command: Command): Command {
  return command
    .optionsGroup(GROUP.decoding)
    .option('--preset <name>', PRESET_HELP)
    .option(
      '--max-new-tokens <n>',
      'end an answer after this many tokens, which are words or parts of words (default: set by the model)',
      wholeNumber(1),
    )
    .option(
      '--min-new-tokens <n>',
      'do not end an answer before this many tokens (default: set by the model)',
      wholeNumber(0),
    );
}

/** The options that choose each token by itself, so that an answer can be shown while it is written. */
export function addTokenOptions(command: Command, seedHelp: string = SEED_HELP): Command {
  const positive = decimalNumber('above 0', (number) => number > 0);
  const fraction = decimalNumber('above 0 and at most 1', (number) => number > 0 && number <= 1);
  return command
    .option(
      '--repetition-penalty <x>',
      'above 1 makes tokens that are already in the answer less likely (default: 1)',
      positive,
    )
    .option(
      '--no-repeat-ngram <n>',
      'do not write the same sequence of n tokens twice (default: 0, no limit)',
      wholeNumber(0),
    )
    .option('--sample', 'choose each token at random by its probability, instead of the likeliest one')
    .option(
      '--temperature <x>',
      'with --sample: below 1 is more predictable, above 1 more varied (default: 1)',
      positive,
    )
    .option(
      '--top-k <n>',
      'with --sample: choose among the n likeliest tokens; 0 means all (default: 50)',
      wholeNumber(0),
    )
    .option(
      '--top-p <x>',
      'with --sample: choose among the likeliest tokens that together reach this probability (default: 0.9)',
      fraction,
    )
    .option('--seed <n>', seedHelp, wholeNumber(0, 2 ** 32 - 1));
}

/** The result of `resolveDecoding`. */
export type Decoding = Pick<AnswerOptions, 'repetitionPenalty' | 'noRepeatNgram' | 'search' | 'stopTexts'>;

/**
 * How to decode: by the options, then by the preset for what the options leave open. `--sample` replaces the beams of a preset, and
 * `--beams` replaces its sampling.
 *
 * @param seedHasUse whether anything other than sampling depends on the seed
 * @throws UsageError when an option would have no effect, or two options contradict each other.
 */
export function resolveDecoding(
  options: DecodingOptions,
  preset: PresetSettings = {},
  seedHasUse: boolean = false,
): Decoding {
  const { lengthPenalty, stop = [] } = options;
  const samples = options.sample ?? (options.beams === undefined && preset.sampling !== undefined);
  const beams = options.beams ?? (samples ? 1 : (preset.beams ?? 1));
  if (samples && beams > 1) {
    throw new UsageError(
      `--beams ${beams} and --sample cannot be used together: beam search looks for the likeliest answer. Choose one.`,
    );
  }
  if (lengthPenalty !== undefined && beams === 1) {
    throw new UsageError(
      `--length-penalty ${lengthPenalty} has no effect without beam search. Add --beams, or leave it out.`,
    );
  }
  for (const [key, flag] of Object.entries(SAMPLING_FLAGS)) {
    const value = options[key as keyof typeof SAMPLING_FLAGS];
    if (value !== undefined && !samples && !(key === 'seed' && seedHasUse)) {
      throw new UsageError(`${flag} ${value} has no effect without sampling. Add --sample, or leave it out.`);
    }
  }
  const penalties = {
    repetitionPenalty: options.repetitionPenalty ?? preset.repetitionPenalty ?? 1,
    noRepeatNgram: options.noRepeatNgram ?? preset.noRepeatNgram ?? 0,
    stopTexts: stop,
  };
  if (beams > 1) {
    return {
      ...penalties,
      search: { kind: 'beams', beams, lengthPenalty: lengthPenalty ?? preset.lengthPenalty ?? 1 },
    };
  }
  if (!samples) return penalties;
  const { temperature, topK, topP, seed } = { ...SAMPLING, ...preset.sampling, ...options };
  return { ...penalties, search: { kind: 'sampling', temperature, topK, topP, seed } };
}

function collectStop(text: string, previous?: string[]): string[] {
  if (text === '') throw new InvalidArgumentError('An empty text would end every answer before it begins.');
  return collect(text, previous);
}
