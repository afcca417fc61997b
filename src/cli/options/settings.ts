/** Flags, variables, the model and the machine, turned into settings that leave nothing open. Below this file nobody sees a flag. */
import { availableParallelism } from 'node:os';
import { UsageError } from '../../errors.ts';
import { formatOfFile, type OutputFormat } from '../../output/output-format.ts';
import type { ModelDeclaration } from '../../pack/model-declaration.ts';
import type { Settings, Task } from '../../pipeline/settings.ts';
import type { PresetSettings } from '../../prompt/preset.ts';
import type { PromptFamily } from '../../prompt/prompt-family.ts';
import { resolveLength } from './answer-length.ts';
import type { ChoiceOptions } from './choices.ts';
import { resolveDecoding, type DecodingOptions } from './decoding.ts';
import type { DetailOptions } from './detail.ts';
import type { InputOptions } from './input.ts';
import type { ModelOptions } from './model.ts';
import type { OutputOptions } from './output.ts';
import type { ProgressChoice } from '../terminal/progress.ts';

/** Everything `caption` and `ask` share, as typed, and what only one of them has. */
export type RunOptions = InputOptions &
  ModelOptions &
  DecodingOptions &
  OutputOptions &
  DetailOptions &
  Pick<ChoiceOptions, 'scores'>;

/** Each decode may hold a whole photograph in memory, and libvips uses several threads for one. */
const MOST_DECODERS = 8;

/** How many images are decoded at one time: one more than can be computed with, so that the model finds one ready. */
export function decoderCount(): number {
  return Math.min(availableParallelism() + 1, MOST_DECODERS);
}

/** The model to use: flag, variable, default. An empty variable counts as none. */
export function chooseModel(options: Pick<ModelOptions, 'model'>, env: NodeJS.ProcessEnv): string {
  return options.model ?? (env['MINIGPT_MODEL'] || 'nano');
}

/** The file to write, or undefined for standard output, which `-` stands for as it does for standard input. */
export function chooseOutput(options: OutputOptions): string | undefined {
  return options.output === '-' ? undefined : options.output;
}

/**
 * The output format.
 *
 * @throws UsageError when the file's ending says nothing and no format is given.
 */
export function chooseFormat(options: OutputOptions, stdoutIsTerminal: boolean): OutputFormat {
  const { format } = options;
  const output = chooseOutput(options);
  if (format !== undefined) return format;
  if (output === undefined) return stdoutIsTerminal ? 'text' : 'jsonl';
  const byEnding = formatOfFile(output);
  if (byEnding !== undefined) return byEnding;
  throw new UsageError(
    `--output ${output}: the ending does not say which format to write. Use .jsonl, .csv or .txt, or add --format.`,
  );
}

/**
 * How progress is shown.
 *
 * @throws UsageError when a bar is demanded where there is no terminal to draw it on.
 */
export function chooseProgress(
  options: OutputOptions,
  stderrIsTerminal: boolean,
  env: NodeJS.ProcessEnv,
): Exclude<ProgressChoice, 'auto'> {
  if (options.quiet === true) return 'none';
  if (options.progress === 'bar' && !stderrIsTerminal) {
    throw new UsageError('--progress bar: stderr is not a terminal. Use --progress plain, or leave the option out.');
  }
  if (options.progress !== 'auto') return options.progress;
  return stderrIsTerminal && env['TERM'] !== 'dumb' ? 'bar' : 'plain';
}

/**
 * The settings of the run: what is typed before what the preset has, and that before what the prompt family has.
 *
 * @param preset of the task, for the model
 * @throws UsageError when options contradict each other or the model cannot hold what they ask for.
 */
export function resolveSettings(
  task: Task,
  options: RunOptions,
  prompts: Pick<PromptFamily, 'defaults'>,
  model: ModelDeclaration,
  preset: PresetSettings = {},
): Settings {
  // One wording of several is chosen by the seed, which then has a use without sampling.
  const seedHasUse = task.kind === 'caption' && task.detail?.instructions.length === 1;
  const decoding = resolveDecoding(options, preset, seedHasUse);
  const usual = { ...prompts.defaults[task.kind], ...preset };
  const length = resolveLength(options, usual, preset, model);
  return {
    task,
    decoding: { ...decoding, ...length },
    maxPixels: options.maxPixels,
    details: options.details === true,
    scores: options.scores === true,
    decoders: decoderCount(),
  };
}
