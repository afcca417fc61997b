/**
 * The sizes of the model that an import builds, from wherever they are said: the user's `--config`, the config.json of a whole model or of
 * a language model, the settings of a training run, the tensors, and the family's published constants, in this order.
 */
import { CheckpointError } from '../errors.ts';
import type { Family } from '../pack/model-declaration.ts';
import { ObjectReader } from '../pack/object-reader.ts';
import { BRIDGE_ARCHITECTURES } from './architectures/bridges.ts';
import { count, loraAlpha, MOST } from './architectures/config-keys.ts';
import { patchCount, readPatchSize, readVisionConfig, type VisionConfig } from './architectures/eva-vit.ts';
import type { LanguagePlan } from './architectures/language-architecture.ts';
import { PATCHES_PER_TOKEN } from './architectures/qformer-projection.ts';
import { readQFormerConfig, type QFormerConfig } from './architectures/qformer-config.ts';
import { explainMissing, FAMILY_TRAITS } from './families/families.ts';
import type { FamilyTraits } from './families/family-traits.ts';
import type { LoraConfig } from './read/weight.ts';
import type { OpenTensor } from './read/weights.ts';
import { languageSource, type RoledSource } from './sources/source-role.ts';

export type ModelConfig = {
  vision: VisionConfig;
  /** Undefined where four patches are joined instead. */
  qformer: QFormerConfig | undefined;
  numQueryTokens: number;
  /** Undefined for packs that only match. */
  language: LanguagePlan | undefined;
};

/** Queries of the published Q-Formers. */
const NUM_QUERY_TOKENS = 32;

/** The defaults of transformers' config of the image encoder, which has one epsilon for all norms. */
const TRANSFORMERS_VISION = { imageSize: 224, layerNormEps: 1e-6, postLayerNormEps: 1e-6 };
/** The originals leave PyTorch's default to the norm after the last block. */
const ORIGINAL_VISION = { layerNormEps: 1e-6, postLayerNormEps: 1e-5 };

/**
 * @param override what the user gave as `--config`; its keys are those of Hugging Face's configs
 * @throws CheckpointError where sizes are missing, contradict the architecture, or ask for a variant of it.
 */
export function resolveConfig(
  sources: readonly RoledSource[],
  tensors: ReadonlyMap<string, OpenTensor>,
  family: Family,
  override: ObjectReader | undefined,
): ModelConfig {
  const traits = FAMILY_TRAITS[family];
  const { hasQFormer } = BRIDGE_ARCHITECTURES[traits.bridge];
  const whole = wholeConfig(sources);
  const config = override ?? whole ?? emptyConfig();
  const vision = readVision(sources, tensors, traits, config, whole !== undefined);
  const queries = tensors.get('query_tokens')?.tensor.shape[1] ?? NUM_QUERY_TOKENS;
  return {
    vision,
    qformer: hasQFormer ? readQFormerConfig(config.objectOrEmpty('qformer_config'), vision.hiddenSize) : undefined,
    numQueryTokens: count(config, 'num_query_tokens', MOST.queries, queries),
    language: readLanguage(sources, family, config, whole),
  };
}

/** The config.json of the whole model that comes last. */
export function wholeConfig(sources: readonly RoledSource[]): ObjectReader | undefined {
  return sources.flatMap(({ role }) => (role.kind === 'whole-model' ? [role.config] : [])).at(-1);
}

/** Side of the image that the config of a whole model states. */
export function declaredImageSize(config: ObjectReader): number {
  return count(config.objectOrEmpty('vision_config'), 'image_size', MOST.pixels, TRANSFORMERS_VISION.imageSize);
}

function readVision(
  sources: readonly RoledSource[],
  tensors: ReadonlyMap<string, OpenTensor>,
  { bridge, imageSize, hasFixedImageSize = false }: FamilyTraits,
  config: ObjectReader,
  isWhole: boolean,
): VisionConfig {
  const section = config.objectOrEmpty('vision_config');
  // The norm after the last block was trained together with the Q-Former.
  const { hasQFormer } = BRIDGE_ARCHITECTURES[bridge];
  const mayLackPostLayernorm = !hasQFormer;
  if (isWhole) {
    const vision = readVisionConfig(section, { ...TRANSFORMERS_VISION, mayLackPostLayernorm });
    // What was trained further with the code of the originals may have been trained on larger images.
    const behind = sources.slice(sources.findLastIndex(({ role }) => role.kind === 'whole-model') + 1);
    return { ...vision, imageSize: trainingCount(behind, 'image_size', MOST.pixels) ?? vision.imageSize };
  }
  const rows = tensors.get('vision_model.embeddings.position_embedding')?.tensor.shape[1];
  const ofTensor = rows === undefined ? undefined : Math.sqrt(rows - 1) * readPatchSize(section);
  const trained = trainingCount(sources, 'image_size', MOST.pixels);
  const vision = readVisionConfig(section, {
    ...ORIGINAL_VISION,
    imageSize: trained ?? (hasFixedImageSize ? imageSize : (ofTensor ?? imageSize)),
    mayLackPostLayernorm,
  });
  if (!hasQFormer && patchCount(vision) % PATCHES_PER_TOKEN !== 0) {
    section.fail('image_size', `a size of which ${PATCHES_PER_TOKEN} patches each make an image token`);
  }
  return vision;
}

function readLanguage(
  sources: readonly RoledSource[],
  family: Family,
  override: ObjectReader,
  whole: ObjectReader | undefined,
): LanguagePlan | undefined {
  const { language, lora } = FAMILY_TRAITS[family];
  if (language === undefined) return undefined;
  const roled = languageSource(sources);
  const ofFolder = roled?.role.kind === 'language-model' ? roled.role.config : undefined;
  const section = override.has('text_config') ? override.object('text_config') : whole?.objectOrEmpty('text_config');
  const text = section ?? ofFolder;
  if (text === undefined) {
    const where = sources.map(({ source }) => source.path).join(', ');
    throw new CheckpointError(
      where,
      `the language model is missing: a folder with config.json, weights and tokenizer. ${explainMissing(family, 'language_model.')}`,
    );
  }
  return language.plan(text, {
    lora: lora && readLora(sources, override, lora),
    isOwnFolder: section === undefined,
  });
}

/** Rank and alpha of an adaptation, where the checkpoint may bring one. */
function readLora(sources: readonly RoledSource[], override: ObjectReader, published: LoraConfig): LoraConfig {
  const section = override.objectOrEmpty('lora');
  return {
    rank: count(section, 'r', MOST.rank, trainingCount(sources, 'lora_r', MOST.rank) ?? published.rank),
    alpha: section.has('alpha') ? loraAlpha(section, 'alpha') : (trainingAlpha(sources) ?? published.alpha),
  };
}

/** A size among the settings of the training run that is nearest to the end. */
function trainingCount(sources: readonly RoledSource[], key: string, most: number): number | undefined {
  const settings = trainingSettings(sources, key);
  return settings && count(settings, key, most);
}

function trainingAlpha(sources: readonly RoledSource[]): number | undefined {
  const settings = trainingSettings(sources, 'lora_alpha');
  return settings && loraAlpha(settings, 'lora_alpha');
}

/** The settings of the training run that is nearest to the end and has this key. */
function trainingSettings(sources: readonly RoledSource[], key: string): ObjectReader | undefined {
  return sources
    .filter(({ role }) => role.kind === 'trained-parts')
    .map(({ source }) => source.trainingSettings)
    .findLast((reader) => reader.has(key));
}

function emptyConfig(): ObjectReader {
  return ObjectReader.parse('{}', '--config');
}
