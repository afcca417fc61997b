/** What must be known before a model is loaded: which images, which pack, which settings. All of it is quick, and much of it can be refused. */
import type { LoadOptions } from '../engine/model.ts';
import type { ImageFile } from '../images/image-file.ts';
import type { Pack } from '../pack/model-declaration.ts';
import type { Settings, Task } from '../pipeline/settings.ts';
import { UsageError } from '../errors.ts';
import { loadPromptFamily } from '../prompt/prompt-family.ts';
import { resolvePack } from '../store/packs.ts';
import { findImages } from './input-options.ts';
import { chooseLoadOptions, chooseModel, resolveSettings, type RunOptions } from './settings.ts';
import type { Terminal } from './terminal.ts';

export type Preparation = { files: ImageFile[]; pack: Pack; settings: Settings; loadOptions: LoadOptions };

/**
 * Finds the images and the pack, and settles what is left open.
 *
 * @throws UsageError or PackError when the run cannot be what the user asks for.
 */
export async function prepare(
  task: Task,
  paths: readonly string[],
  options: RunOptions,
  terminal: Terminal,
): Promise<Preparation> {
  const { files, warnings } = await findImages(paths, options, process.stdin);
  for (const warning of warnings) terminal.say(warning);

  const pack = await resolvePack(chooseModel(options, process.env));
  const { declaration, directory } = pack;
  const prompts = await loadPromptFamily(requirePromptFamily(declaration));
  const settings = resolveSettings(task, options, prompts, declaration);
  const loadOptions = chooseLoadOptions(options, task, files.length, declaration, settings.maxNewTokens);
  if (options.verbose === true) {
    const { threads, batchSize } = loadOptions;
    terminal.say(`model ${declaration.id} (${declaration.family}, ${declaration.precision}) in ${directory}`);
    terminal.say(`images ${files.length}, threads ${threads}, batch size ${batchSize}, decoders ${settings.decoders}`);
  }
  return { files, pack, settings, loadOptions };
}

/** @throws UsageError for a pack that only matches images with texts. */
function requirePromptFamily({ id, promptFamily }: Pack['declaration']): string {
  if (promptFamily !== undefined) return promptFamily;
  throw new UsageError(`the model ${id} has no language model, so it can neither caption nor answer.`);
}
