/** What each source of an import is: a whole model, a language model, a delta, an adapter, trained parts, or what stands beside weights. */
import { CheckpointError } from '../../errors.ts';
import type { ObjectReader } from '../../pack/object-reader.ts';
import { readLoraConfig, type LoraAdapterConfig } from '../adapters/lora-config.ts';
import type { LanguageArchitecture } from '../architectures/language-architecture.ts';
import { architectureOf, LANGUAGE_ARCHITECTURES } from '../architectures/language-architectures.ts';
import { isWholeModelType, knownWholeModels } from '../families/whole-models.ts';
import { HUGGINGFACE_NAMES } from '../names/huggingface.ts';
import { rename, type NameRule } from '../names/name-rule.ts';
import { ADAPTER_CONFIG, type CheckpointSource } from '../read/checkpoint-source.ts';
import { otherWeightFiles } from '../read/weight-files.ts';

export type SourceRole =
  /** A folder of Hugging Face with the whole model, or with its config.json and a part of its weights. */
  | { kind: 'whole-model'; config: ObjectReader }
  /** A folder of Hugging Face with a language model; `isDelta` where its tensors are to be added to those of its base. */
  | { kind: 'language-model'; config: ObjectReader; architecture: LanguageArchitecture; isDelta: boolean }
  /** Low-rank changes of the weights of the sources before it, in PEFT's layout. */
  | { kind: 'adapter'; lora: LoraAdapterConfig }
  /** Weights without config.json: what a training run saved, in the layout of LAVIS, of the projects that build on it, or of its base. */
  | { kind: 'trained-parts' }
  /** A folder without weights, for its tokenizer or its image settings. */
  | { kind: 'no-weights' };

export type RoledSource = { source: CheckpointSource; role: SourceRole };

export type LanguageSource = RoledSource & { role: Extract<SourceRole, { kind: 'whole-model' | 'language-model' }> };

const EXPECTED_WEIGHTS = 'expected weights (model.safetensors, pytorch_model.bin, or an index with its shards)';

/** Files that make a folder without weights useful. */
const BESIDE_WEIGHTS = [
  'tokenizer.json',
  'tokenizer.model',
  'spiece.model',
  'vocab.txt',
  'vocab.json',
  'preprocessor_config.json',
  'processor_config.json',
  'generation_config.json',
] as const;

/** The source whose config describes the language model: the last one, unless it is only a difference. */
export function languageSource(sources: readonly RoledSource[]): LanguageSource | undefined {
  return sources.findLast(
    (roled): roled is LanguageSource =>
      roled.role.kind === 'whole-model' || (roled.role.kind === 'language-model' && !roled.role.isDelta),
  );
}

/**
 * The roles of all sources.
 *
 * @throws CheckpointError for a folder that no architecture knows, a model whose weights are nowhere, and an adapter without its base.
 */
export async function assignRoles(sources: readonly CheckpointSource[]): Promise<RoledSource[]> {
  const roled: RoledSource[] = [];
  for (const source of sources) {
    const role = await roleOf(source);
    if (role.kind === 'adapter' && !roled.some(({ source: { tensors } }) => tensors.size > 0)) {
      throw new CheckpointError(
        source.path,
        `this is a LoRA adapter for ${role.lora.base ?? 'a model that it does not name'}; give the folder of its base before it.`,
      );
    }
    roled.push({ source, role });
  }
  for (const { source, role } of roled) await requireWeights(source, role, sources);
  return roled;
}

/** @throws CheckpointError for a folder that no architecture knows. */
export async function roleOf(source: CheckpointSource): Promise<SourceRole> {
  if (!source.isFolder) return { kind: 'trained-parts' };
  if (source.isAdapter)
    return { kind: 'adapter', lora: readLoraConfig(await source.json(ADAPTER_CONFIG), source.path) };
  if (source.tensors.size === 0) return roleWithoutWeights(source);
  if (!(await source.has('config.json'))) return { kind: 'trained-parts' };
  const config = await source.json('config.json');
  const role = roleOfConfig(source, config);
  if (role !== undefined) return role;
  const names = LANGUAGE_ARCHITECTURES.map(({ name }) => name);
  throw new CheckpointError(
    source.path,
    `config.json describes a model of type "${config.string('model_type')}"; known are ${knownWholeModels()}, and the language models ${names.join(', ')}. For its tokenizer alone, give a folder without the weights.`,
  );
}

function roleOfConfig({ path }: CheckpointSource, config: ObjectReader): SourceRole | undefined {
  const modelType = config.string('model_type');
  if (isWholeModelType(modelType)) return { kind: 'whole-model', config };
  const architecture = architectureOf(modelType);
  // Vicuna was published as a difference from LLaMA, under names that say so.
  return architecture && { kind: 'language-model', config, architecture, isDelta: /delta/i.test(path) };
}

/** A model's config may lie here and its weights elsewhere; a tokenizer may come with the config of a model that is none of ours. */
async function roleWithoutWeights(source: CheckpointSource): Promise<SourceRole> {
  if (await source.has('config.json')) {
    const config = await source.json('config.json');
    const role = config.has('model_type') ? roleOfConfig(source, config) : undefined;
    if (role !== undefined) return role;
  }
  for (const name of BESIDE_WEIGHTS) if (await source.has(name)) return { kind: 'no-weights' };
  if (await source.has(ADAPTER_CONFIG)) {
    throw new CheckpointError(
      source.path,
      `this is an adapter, but its weights (adapter_model.safetensors or adapter_model.bin) are missing beside ${ADAPTER_CONFIG}.`,
    );
  }
  throw new CheckpointError(
    source.path,
    `${EXPECTED_WEIGHTS} or a tokenizer; found neither.${await hintAtOtherFiles(source)}`,
  );
}

/** @throws CheckpointError for the config of a model of which no source has a tensor. */
async function requireWeights(
  source: CheckpointSource,
  role: SourceRole,
  sources: readonly CheckpointSource[],
): Promise<void> {
  if (source.tensors.size > 0 || (role.kind !== 'whole-model' && role.kind !== 'language-model')) return;
  const rules: readonly NameRule[] = role.kind === 'whole-model' ? HUGGINGFACE_NAMES : role.architecture.names;
  const isElsewhere = sources.some(({ tensors }) =>
    [...tensors.keys()].some((name) => rename(name, rules) !== undefined),
  );
  if (isElsewhere) return;
  throw new CheckpointError(
    source.path,
    `${EXPECTED_WEIGHTS} beside config.json; found none.${await hintAtOtherFiles(source)}`,
  );
}

async function hintAtOtherFiles({ path }: CheckpointSource): Promise<string> {
  const [first, ...more] = await otherWeightFiles(path);
  if (first === undefined) return '';
  const others = more.length === 0 ? '' : ` and ${more.length} more`;
  return ` There is ${first}${others}: to import a file of another name, give it as a source of its own after this folder.`;
}
