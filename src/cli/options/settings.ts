/** Flags, variables, the model and the machine, turned into settings that leave nothing open. Below this file nobody sees a flag. */
import { availableParallelism } from 'node:os';
import { rowsPerAnswer, type AnswerOptions, type LoadOptions } from '../../engine/model.ts';
import { UsageError } from '../../errors.ts';
import { rowsForChoices } from '../../language/forced-choices.ts';
import { bytesPerRow } from '../../language/kv-cache-size.ts';
import { formatOfFile, type OutputFormat } from '../../output/output-format.ts';
import type { ModelDeclaration } from '../../pack/model-declaration.ts';
import { recordsPerImage, type Settings, type Task } from '../../pipeline/settings.ts';
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

/** With more rows than this a step takes longer in proportion: measured, a row of a step costs 0.36 ms among 16, 0.25 among 32 and among 48. */
const AUTO_BATCH_SIZE = 32;

/** An automatic batch keeps the cache of all rows below this. */
const AUTO_CACHE_BYTES = 2 ** 29;

/** What a prompt is taken to need when the batch is chosen, before it is tokenized. */
const USUAL_PROMPT_TOKENS = 32;

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
 * How the model is loaded.
 *
 * @param images How many there are: a batch need not have more places than there are answers to fill them.
 */
export function chooseLoadOptions(
  options: ModelOptions,
  task: Task,
  images: number,
  model: ModelDeclaration,
  decoding: Pick<AnswerOptions, 'maxNewTokens' | 'search'>,
): LoadOptions {
  const { language, numImageTokens } = model;
  const answers = images * recordsPerImage(task);
  const choices = task.kind === 'ask' ? task.choices : undefined;
  const rows = choices === undefined ? rowsPerAnswer(decoding) : rowsForChoices(choices.length);
  const answerTokens = choices === undefined ? decoding.maxNewTokens : mostTokens(choices);
  const rowBytes =
    language === undefined
      ? 0
      : bytesPerRow({
          layers: language.numHiddenLayers,
          heads: language.numKeyValueHeads,
          headDim: language.headDim,
          maxLength: numImageTokens + USUAL_PROMPT_TOKENS + answerTokens,
        });
  const fitting = Math.max(Math.floor(AUTO_CACHE_BYTES / Math.max(rowBytes * rows, 1)), 1);
  return {
    compute: { threads: options.threads ?? availableParallelism() },
    images,
    batchSize: options.batchSize === 'auto' ? Math.min(AUTO_BATCH_SIZE, fitting, answers) : options.batchSize,
  };
}

/** No token stands for less than a byte, and the end of an answer has few. */
function mostTokens(choices: readonly string[]): number {
  return Math.max(...choices.map((choice) => Buffer.byteLength(choice))) + 2;
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
    decodeSeconds: options.decodeTimeout,
    details: options.details === true,
    scores: options.scores === true,
    decoders: decoderCount(),
  };
}
