/** The options that say how an answer is decoded: beams, penalties, sampling, what ends it. */
import { InvalidArgumentError, type Command } from 'commander';
import type { AnswerOptions } from '../../engine/model.ts';
import { UsageError } from '../../errors.ts';
import type { PresetSettings } from '../../prompt/preset.ts';
import { decimalNumber, wholeNumber } from './numbers.ts';
import { collect } from './input.ts';
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

/** What the field samples with where nothing is said: the defaults of transformers, and the top-p of LAVIS and MiniGPT-4. */
const SAMPLING = { temperature: 1, topK: 50, topP: 0.9, seed: 0 } as const;

/** The sampling options with their flags. */
const SAMPLING_FLAGS = { temperature: '--temperature', topK: '--top-k', topP: '--top-p', seed: '--seed' } as const;

const SEED_HELP = 'with --sample: another number, other answers (default: 0)';

/** @param seedHelp where something else than sampling depends on the seed */
export function addDecodingOptions(command: Command, seedHelp: string = SEED_HELP): Command {
  const power = decimalNumber('from -10 to 10', (number) => Math.abs(number) <= 10);
  command
    .option('--preset <name>', PRESET_HELP)
    .option(
      '--beams <n>',
      'search with this many beams (default: 1, the likeliest token each time)',
      wholeNumber(1, MOST_BEAMS),
    )
    .option('--length-penalty <x>', 'with beams: above 0 favours long answers, below 0 short ones (default: 1)', power);
  return addTokenOptions(command, seedHelp).option(
    '--stop <text>',
    'end an answer in front of this text; may be repeated',
    collectStop,
  );
}

/** Those that decide each token where it stands, so that an answer can be shown while it is written. */
export function addTokenOptions(command: Command, seedHelp: string = SEED_HELP): Command {
  const positive = decimalNumber('above 0', (number) => number > 0);
  const fraction = decimalNumber('above 0 and at most 1', (number) => number > 0 && number <= 1);
  return command
    .option('--repetition-penalty <x>', 'above 1 makes words less likely that stand already (default: 1)', positive)
    .option('--no-repeat-ngram <n>', 'write no run of so many tokens twice (default: 0, any)', wholeNumber(0))
    .option('--sample', 'draw tokens by their probability instead of taking the likeliest')
    .option('--temperature <x>', 'with --sample: below 1 safer, above 1 freer (default: 1)', positive)
    .option('--top-k <n>', 'with --sample: draw from the k likeliest tokens, 0 from all (default: 50)', wholeNumber(0))
    .option('--top-p <x>', 'with --sample: draw from the likeliest that reach this mass (default: 0.9)', fraction)
    .option('--seed <n>', seedHelp, wholeNumber(0, 2 ** 32 - 1));
}

/** What `resolveDecoding` settles. */
export type Decoding = Pick<AnswerOptions, 'repetitionPenalty' | 'noRepeatNgram' | 'search' | 'stopTexts'>;

/**
 * The way of decoding that the options ask for, and a preset where they leave it open. A way that is asked for by an option takes the place of
 * the preset's: `--sample` of its beams, `--beams` of its sampling.
 *
 * @param seedHasUse whether something else than sampling depends on the seed
 * @throws UsageError when an option would have no effect, or two exclude each other.
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
      `--beams ${beams} and --sample exclude each other: beams look for the likeliest answer. Choose one.`,
    );
  }
  if (lengthPenalty !== undefined && beams === 1) {
    throw new UsageError(
      `--length-penalty ${lengthPenalty} ranks beams, and there are none. Add --beams, or leave it out.`,
    );
  }
  for (const [key, flag] of Object.entries(SAMPLING_FLAGS)) {
    const value = options[key as keyof typeof SAMPLING_FLAGS];
    if (value !== undefined && !samples && !(key === 'seed' && seedHasUse)) {
      throw new UsageError(`${flag} ${value} is for sampling, and nothing is sampled. Add --sample, or leave it out.`);
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
