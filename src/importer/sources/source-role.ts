/** What each source of an import is: a whole model, a language model, a file of trained parts, a delta, or a tokenizer alone. */
import { CheckpointError } from '../../errors.ts';
import type { ObjectReader } from '../../pack/object-reader.ts';
import type { LanguageArchitecture } from '../architectures/language-architecture.ts';
import { architectureOf, LANGUAGE_ARCHITECTURES } from '../architectures/language-architectures.ts';
import { isWholeModelType, knownWholeModels } from '../families/whole-models.ts';
import type { CheckpointSource } from '../read/checkpoint-source.ts';

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

export type LanguageSource = RoledSource & { role: Extract<SourceRole, { kind: 'whole-model' | 'language-model' }> };

/** The source that brings the language model and its tokenizer: the last one, unless it is only a difference. */
export function languageSource(sources: readonly RoledSource[]): LanguageSource | undefined {
  return sources.findLast(
    (roled): roled is LanguageSource =>
      roled.role.kind === 'whole-model' || (roled.role.kind === 'language-model' && !roled.role.isDelta),
  );
}

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
  if (isWholeModelType(modelType)) return { kind: 'whole-model', config };
  const architecture = architectureOf(modelType);
  if (architecture === undefined) {
    const names = LANGUAGE_ARCHITECTURES.map(({ name }) => name);
    throw new CheckpointError(
      source.path,
      `config.json describes a model of type "${modelType}"; known are ${knownWholeModels()}, and the language models ${names.join(', ')}.`,
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
  return isWholeModelType(modelType) || architectureOf(modelType) !== undefined;
}

async function hasTokenizer(source: CheckpointSource): Promise<boolean> {
  for (const name of ['tokenizer.json', 'tokenizer.model', 'spiece.model', 'vocab.txt', 'vocab.json']) {
    if (await source.has(name)) return true;
  }
  return false;
}
