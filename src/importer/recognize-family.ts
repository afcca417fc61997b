/** Which family the sources of an import make, by what is in them (spec 0, 8.1). The user may say it instead. */
import { CheckpointError } from '../errors.ts';
import type { Family } from '../pack/model-declaration.ts';
import type { LanguageArchitecture } from './names/language-model.ts';
import type { RoledSource } from './source-role.ts';

/** @throws CheckpointError when the sources make no family, or more than one is possible. */
export function recognizeFamily(sources: readonly RoledSource[]): Family {
  for (const { source, role } of sources) {
    if (role.kind === 'whole-model') return familyOfWholeModel(source.path, role);
  }
  const found = evidence(sources);
  const family = familyOfParts(found);
  if (family !== undefined) return family;
  const where = sources.map(({ source }) => source.path).join(', ');
  throw new CheckpointError(
    where,
    `together these sources are not a known model (${describe(found)}). Give the family with --family. docs/models.md lists the sources of each family.`,
  );
}

type Evidence = {
  language: LanguageArchitecture | undefined;
  hasQFormer: boolean;
  hasSecondProjection: boolean;
  hasLora: boolean;
  readsText: boolean;
  hasMatchingHeads: boolean;
  /** The projection's name in the file that is nearest to the end. */
  projection: 'llama_proj' | 'opt_proj' | 't5_proj' | 'llm_proj' | undefined;
  /** `arch` of a training run of MiniGPT-4 or TinyGPT-V. */
  arch: string | undefined;
};

function familyOfParts(found: Evidence): Family | undefined {
  const { language, projection, arch } = found;
  if (projection === 'llama_proj') {
    if (found.hasSecondProjection || language === 'phi')
      return arch === 'minigpt_v2' ? 'tinygpt-v-stage4' : 'tinygpt-v';
    if (found.hasQFormer) return 'minigpt4-vicuna';
    return arch === 'minigpt_v2' || found.hasLora ? 'minigpt-v2' : 'minigpt4-llama2';
  }
  if (projection === 'llm_proj') return 'instructblip-vicuna';
  if (projection === 'opt_proj') return 'blip2-opt';
  if (projection === 't5_proj') return found.readsText && !found.hasMatchingHeads ? 'instructblip-t5' : 'blip2-t5';
  return found.hasMatchingHeads && language === undefined ? 'blip2-itm' : undefined;
}

function evidence(sources: readonly RoledSource[]): Evidence {
  const parts = sources.filter(({ role }) => role.kind === 'trained-parts').map(({ source }) => source);
  const has = (pattern: RegExp): boolean =>
    parts.some((source) => [...source.tensors.keys()].some((name) => pattern.test(name)));
  const projections = parts.flatMap((source) =>
    (['llama_proj', 'opt_proj', 't5_proj', 'llm_proj'] as const).filter((name) => source.tensors.has(`${name}.weight`)),
  );
  const archs = parts.flatMap(({ trainingSettings }) =>
    trainingSettings.has('arch') ? [trainingSettings.string('arch')] : [],
  );
  const languages = sources.flatMap(({ role }) => (role.kind === 'language-model' ? [role.architecture] : []));
  return {
    language: languages.at(-1),
    hasQFormer: has(/^Qformer\.bert\.encoder\./),
    hasSecondProjection: has(/^llama_proj2\./),
    hasLora: has(/\.lora_A\./),
    readsText: has(/^Qformer\.bert\.embeddings\.word_embeddings\./),
    hasMatchingHeads: has(/^itm_head\./),
    projection: projections.at(-1),
    arch: archs.at(-1),
  };
}

function familyOfWholeModel(path: string, { config }: Extract<RoledSource['role'], { kind: 'whole-model' }>): Family {
  const modelType = config.string('model_type');
  const architectures = config.has('architectures') ? config.strings('architectures') : [];
  if (architectures.includes('Blip2ForImageTextRetrieval')) return 'blip2-itm';
  const text = config.objectOrEmpty('text_config');
  const textType = text.has('model_type') ? text.string('model_type') : 'opt';
  const families: Readonly<Record<string, Family>> = {
    'blip-2 opt': 'blip2-opt',
    'blip-2 t5': 'blip2-t5',
    'instructblip t5': 'instructblip-t5',
    'instructblip llama': 'instructblip-vicuna',
  };
  const family = families[`${modelType} ${textType}`];
  if (family === undefined) {
    throw new CheckpointError(
      path,
      `config.json describes model_type "${modelType}" with a "${textType}" language model; known are ${Object.keys(families).join(', ')}.`,
    );
  }
  return family;
}

function describe(found: Evidence): string {
  return [
    `language model: ${found.language ?? 'none'}`,
    `Q-Former: ${found.hasQFormer ? 'yes' : 'none'}`,
    `projection: ${found.projection ?? 'none'}`,
  ].join(', ');
}
