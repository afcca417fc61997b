/** What each source of an import is: a whole model, a language model, a file of trained parts, a delta, or a tokenizer alone (spec 8.1). */
import { CheckpointError } from '../errors.ts';
import type { ObjectReader } from '../pack/object-reader.ts';
import { languageArchitecture, type LanguageArchitecture } from './names/language-model.ts';
import type { CheckpointSource } from './read/checkpoint-source.ts';

export type SourceRole =
  /** A folder of Hugging Face with the whole model. */
  | { kind: 'whole-model'; config: ObjectReader }
  /** A folder of Hugging Face with a language model; `isDelta` where its tensors are to be added to those of its base. */
  | { kind: 'language-model'; config: ObjectReader; architecture: LanguageArchitecture; isDelta: boolean }
  /** A file that a training run saved, in the layout of LAVIS or of the projects that build on it. */
  | { kind: 'trained-parts' }
  /** A folder without weights. */
  | { kind: 'tokenizer' };

export type RoledSource = { source: CheckpointSource; role: SourceRole };

/** `model_type` of the folders that hold a whole model. */
const WHOLE_MODELS = ['blip-2', 'instructblip'];

/** @throws CheckpointError for a folder that no architecture knows. */
export async function roleOf(source: CheckpointSource): Promise<SourceRole> {
  if (!source.isFolder) return { kind: 'trained-parts' };
  if (source.tensors.size === 0) {
    if (await isModelFolder(source)) {
      throw new CheckpointError(
        source.path,
        'expected weights (model.safetensors, pytorch_model.bin, or an index with its shards) beside config.json; found none.',
      );
    }
    if (await hasTokenizer(source)) return { kind: 'tokenizer' };
    throw new CheckpointError(
      source.path,
      'expected weights (model.safetensors, pytorch_model.bin, or an index with its shards) or a tokenizer; found neither.',
    );
  }
  const config = await source.json('config.json');
  const modelType = config.string('model_type');
  if (WHOLE_MODELS.includes(modelType)) return { kind: 'whole-model', config };
  const architecture = languageArchitecture(modelType);
  if (architecture === undefined) {
    throw new CheckpointError(
      source.path,
      `config.json describes a model of type "${modelType}"; known are ${[...WHOLE_MODELS, 'opt', 't5', 'llama', 'phi'].join(', ')}.`,
    );
  }
  // Vicuna was published as a difference from LLaMA, under names that say so.
  return { kind: 'language-model', config, architecture, isDelta: /delta/i.test(source.path) };
}

/** Whether config.json is of a model that would have weights here; a tokenizer may come with the config of another model. */
async function isModelFolder(source: CheckpointSource): Promise<boolean> {
  if (!(await source.has('config.json'))) return false;
  const config = await source.json('config.json');
  const modelType = config.has('model_type') ? config.string('model_type') : '';
  return WHOLE_MODELS.includes(modelType) || languageArchitecture(modelType) !== undefined;
}

async function hasTokenizer(source: CheckpointSource): Promise<boolean> {
  for (const name of ['tokenizer.json', 'tokenizer.model', 'spiece.model', 'vocab.txt', 'vocab.json']) {
    if (await source.has(name)) return true;
  }
  return false;
}
