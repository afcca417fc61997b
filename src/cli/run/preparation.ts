/** What must be known before a model is loaded: which images, which pack, which settings. All of it is quick, and much of it can be refused. */
import { planWriting } from '../../engine/load-plan.ts';
import type { LoadOptions } from '../../engine/model.ts';
import { QFORMER_CAPTION_LENGTH, writesByQFormer } from '../../engine/texts/qformer-texts.ts';
import type { Discovery } from '../../images/discover.ts';
import type { Pack } from '../../pack/model-declaration.ts';
import { everyImage, selectImages } from '../../pipeline/selection.ts';
import { recordsPerImage, type DetailTask, type Settings, type Task } from '../../pipeline/settings.ts';
import { UsageError } from '../../errors.ts';
import { loadPromptFamily, type PromptFamily } from '../../prompt/prompt-family.ts';
import type { PresetSettings } from '../../prompt/preset.ts';
import { resolvePack } from '../../store/packs.ts';
import { chooseDetail } from '../options/detail.ts';
import { findImages } from '../options/input.ts';
import { choosePreset } from '../options/preset.ts';
import { chooseModel, resolveSettings, type RunOptions } from '../options/settings.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { reportDiscovery } from './discovery-report.ts';

/** `task` is complete: with what a preset adds to it. */
export type Preparation = {
  task: Task;
  discovery: Discovery;
  pack: Pack;
  settings: Settings;
  loadOptions: LoadOptions;
};

/**
 * Finds the images and the pack, and completes the settings.
 *
 * @throws UsageError or PackError when the run cannot be what the user asks for.
 */
export async function prepare(
  task: Task,
  paths: readonly string[],
  options: RunOptions,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<Preparation> {
  const found = await findImages(paths, options, process.stdin, signal);
  reportDiscovery(found, options.verbose === true, terminal);
  const files = selectImages(found.files, everyImage);
  const discovery = { ...found, files };

  const pack = await resolvePack(chooseModel(options, process.env));
  const { declaration, directory } = pack;
  const prompts = await promptsOf(task, declaration);
  const detail = task.kind === 'caption' ? chooseDetail(options, prompts, declaration.id) : undefined;
  const presetName = detail === undefined ? options.preset : detail.preset;
  const preset = choosePreset(presetName, task.kind, prompts.presets, declaration);
  const completed = completeTask(task, preset, detail?.detail);
  const settings = resolveSettings(completed, options, prompts, declaration, preset);
  const work = {
    images: files.length,
    answersPerImage: recordsPerImage(completed),
    decoding: settings.decoding,
    choices: completed.kind === 'ask' ? completed.choices : undefined,
  };
  const loadOptions = planWriting(declaration, work, options);
  if (options.verbose === true) {
    const { compute, batchSize } = loadOptions;
    terminal.say(`model ${declaration.id} (${declaration.family}, ${declaration.precision}) in ${directory}`);
    terminal.say(
      `images ${files.length}, threads ${compute.threads}, batch size ${batchSize}, decoders ${settings.decoders}`,
    );
  }
  return { task: completed, discovery, pack, settings, loadOptions };
}

/** The task with the prompt of the preset, unless the user gave one, and with the detail that the user asked for. */
function completeTask(task: Task, { prompt, questionTemplate }: PresetSettings, detail: DetailTask | undefined): Task {
  if (task.kind === 'caption') return { ...task, prompt: task.prompt ?? prompt, detail };
  return { ...task, template: task.template ?? questionTemplate };
}

/**
 * The lengths of answers that the model was published with, its presets, and how it is asked for detail.
 *
 * @throws UsageError for a pack that only matches images with texts, or whose Q-Former writes captions and cannot do what is asked.
 */
async function promptsOf(
  task: Task,
  declaration: Pack['declaration'],
): Promise<Pick<PromptFamily, 'defaults' | 'presets' | 'detail'>> {
  const { id, promptFamily } = declaration;
  if (promptFamily !== undefined) return loadPromptFamily(promptFamily);
  if (!writesByQFormer(declaration)) {
    throw new UsageError(
      `the model ${id} has no language model, so it cannot write captions or answers. Use it with "minigpt match".`,
    );
  }
  if (task.kind === 'ask')
    throw new UsageError(
      `the model ${id} has no language model. Its Q-Former can write captions, but cannot answer questions.`,
    );
  if (task.prompt !== undefined)
    throw new UsageError(
      `--prompt: the model ${id} has no language model, and its Q-Former cannot continue a text. Leave the option out.`,
    );
  const length = QFORMER_CAPTION_LENGTH;
  return { defaults: { caption: length, ask: length, chat: length }, presets: [], detail: undefined };
}
