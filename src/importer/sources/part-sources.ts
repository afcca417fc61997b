/**
 * Which source the parts beside the tensors come from: configs, image settings and tokenizers. Each comes from the last source that has it, as tensors
 * do, so that a fine-tuned model can be laid over its base whatever it was saved with.
 */
import { join } from 'node:path';
import { readImageSettings, type ImageSettings } from '../read/image-processor.ts';
import type { CheckpointSource } from '../read/checkpoint-source.ts';
import type { RoledSource } from './source-role.ts';

/** The folder of the Q-Former's tokenizer inside a pack, and inside the published InstructBLIP repositories. */
export const QFORMER_FOLDER = 'qformer_tokenizer';

/** A part, and where it came from where several sources or files have it. */
export type PartChoice = { part: string; taken: string; leftOut: readonly string[]; why: string };

const TOKENIZER_FILES = ['tokenizer.json', 'tokenizer.model', 'spiece.model', 'vocab.json', 'vocab.txt'] as const;

/** What lies in a source, and the path under which it is told. */
type Found<Part> = { part: Part; path: string };

/** A part of the last source that has one. */
export type LastFound<Part> = Found<Part> & {
  /** Paths of those before it. */
  before: readonly string[];
};

/** The last part that these sources have of a kind; undefined where none has any. */
async function findLast<Part>(
  sources: readonly RoledSource[],
  find: (roled: RoledSource) => Promise<Found<Part>[]>,
): Promise<LastFound<Part> | undefined> {
  const found: Found<Part>[] = [];
  for (const roled of sources) found.push(...(await find(roled)));
  const last = found.pop();
  return last && { ...last, before: found.map(({ path }) => path) };
}

/** How images are prepared. */
export async function findImageSettings(
  sources: readonly RoledSource[],
): Promise<LastFound<ImageSettings> | undefined> {
  return findLast(sources, async ({ source }) => {
    const settings = await readImageSettings(source);
    return settings.map((part) => ({ part, path: part.path }));
  });
}

/** generation_config.json, of a source that may have the language model. */
export async function findGenerationConfig(
  sources: readonly RoledSource[],
): Promise<LastFound<CheckpointSource> | undefined> {
  return findLast(sources, async ({ source }) => {
    if (!(await source.has('generation_config.json'))) return [];
    return [{ part: source, path: join(source.path, 'generation_config.json') }];
  });
}

/** The folder of the language model's tokenizer. */
export async function findLanguageTokenizer(
  sources: readonly RoledSource[],
): Promise<LastFound<RoledSource> | undefined> {
  return findLast(sources, async (roled) => {
    const { source, role } = roled;
    if (role.kind === 'language-model' && role.isDelta) return [];
    if (!(await hasTokenizer(source, ''))) return [];
    // A folder of its own may hold the tokenizer of a Q-Former, which is BERT's.
    if (role.kind === 'no-weights' && (await isWordPiece(source))) return [];
    return [{ part: roled, path: source.path }];
  });
}

/**
 * The folder of the Q-Former's tokenizer.
 *
 * @param hasLanguageModel whether the folder of a model has another tokenizer at its top
 */
export async function findQFormerTokenizer(
  sources: readonly RoledSource[],
  hasLanguageModel: boolean,
): Promise<LastFound<string> | undefined> {
  return findLast(sources, async ({ source, role }) => {
    const nested = join(source.path, QFORMER_FOLDER);
    if (await hasTokenizer(source, QFORMER_FOLDER)) return [{ part: nested, path: nested }];
    // Without a language model there is no other text than the Q-Former's.
    const isItsOwn = role.kind === 'no-weights' ? await isWordPiece(source) : !hasLanguageModel;
    if (!isItsOwn || !(await hasTokenizer(source, ''))) return [];
    return [{ part: source.path, path: source.path }];
  });
}

/** What was chosen, for whoever wants to know; nothing where there was no choice. */
export function choiceOf(part: string, found: LastFound<unknown> | undefined): PartChoice[] {
  if (found === undefined || found.before.length === 0) return [];
  return [{ part, taken: found.path, leftOut: found.before, why: 'the last source that has it counts' }];
}

async function hasTokenizer(source: CheckpointSource, folder: string): Promise<boolean> {
  for (const name of TOKENIZER_FILES) if (await source.has(join(folder, name))) return true;
  return false;
}

async function isWordPiece(source: CheckpointSource): Promise<boolean> {
  if (await source.has('vocab.txt')) return true;
  if (!(await source.has('tokenizer.json'))) return false;
  const model = (await source.json('tokenizer.json')).objectOrEmpty('model');
  return model.has('type') && model.string('type') === 'WordPiece';
}
