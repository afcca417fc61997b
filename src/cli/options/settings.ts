/** Turns options, environment variables, the model and the machine into complete settings. No code in lower layers sees an option. */
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

/** The options of `caption` and `ask`, as typed: those that both have, and those of only one. */
export type RunOptions = InputOptions &
  ModelOptions &
  DecodingOptions &
  OutputOptions &
  DetailOptions &
  Pick<ChoiceOptions, 'scores'>;

/** Each decoder may hold a whole photograph in memory, and libvips uses several threads for one image. */
const MOST_DECODERS = 8;

/** How many images are decoded at the same time: one more than there are cores, so that the model always finds one ready. */
export function decoderCount(): number {
  return Math.min(availableParallelism() + 1, MOST_DECODERS);
}

/** The model to use: the option, the environment variable, or the default. An empty variable counts as not set. */
export function chooseModel(options: Pick<ModelOptions, 'model'>, env: NodeJS.ProcessEnv): string {
  return options.model ?? (env['MINIGPT_MODEL'] || 'nano');
}

/** The file to write, or undefined for standard output. `-` means standard output, as it means standard input elsewhere. */
export function chooseOutput(options: OutputOptions): string | undefined {
  return options.output === '-' ? undefined : options.output;
}

/**
 * The output format.
 *
 * @throws UsageError when no format is given and the ending of the file does not say one.
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
 * @throws UsageError when a bar is asked for and stderr is not a terminal.
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
 * The settings of the run. An option overrides the preset, and the preset overrides the prompt family.
 *
 * @param preset of the task, for the model
 * @throws UsageError when options contradict each other or the model cannot do what they ask for.
 */
export function resolveSettings(
  task: Task,
  options: RunOptions,
  prompts: Pick<PromptFamily, 'defaults'>,
  model: ModelDeclaration,
  preset: PresetSettings = {},
): Settings {
  // The seed chooses one of several wordings, so it has an effect without sampling.
  const seedHasUse = task.kind === 'caption' && task.detail?.instructions.length === 1;
  const decoding = resolveDecoding(options, preset, seedHasUse);
  const usual = { ...prompts.defaults[task.kind], ...preset };
  const length = resolveLength(options, usual, preset, model);
  return {
    task,
    decoding: { ...decoding, ...length },
    maxPixels: options.maxPixels,
    decodeSeconds: options.decodeTimeout,
    details: options.details === true,
    scores: options.scores === true,
    decoders: decoderCount(),
  };
}
