/**
 * The sizes of the model that an import builds, from wherever they are said: the user's `--config`, the config.json of a whole model or of
 * a language model, the settings of a training run, the tensors, and the family's published constants, in this order.
 */
import { CheckpointError } from '../errors.ts';
import type { Family } from '../pack/model-declaration.ts';
import { ObjectReader } from '../pack/object-reader.ts';
import { BRIDGE_ARCHITECTURES } from './architectures/bridges.ts';
import { integer } from './architectures/config-keys.ts';
import { PATCH_SIZE, readVisionConfig, type VisionConfig } from './architectures/eva-vit.ts';
import type { LanguagePlan } from './architectures/language-architecture.ts';
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
  const whole = sources.map(({ role }) => role).find((role) => role.kind === 'whole-model');
  const config = override ?? whole?.config ?? emptyConfig();
  const vision = readVision(sources, tensors, traits, config, whole !== undefined);
  const queries = tensors.get('query_tokens')?.tensor.shape[1] ?? NUM_QUERY_TOKENS;
  return {
    vision,
    qformer: hasQFormer ? readQFormerConfig(config.objectOrEmpty('qformer_config'), vision.hiddenSize) : undefined,
    numQueryTokens: integer(config, 'num_query_tokens', queries),
    language: readLanguage(sources, family, config, whole?.config),
  };
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
  const mayLackPostLayernorm = !BRIDGE_ARCHITECTURES[bridge].hasQFormer;
  if (isWhole) return readVisionConfig(section, { ...TRANSFORMERS_VISION, mayLackPostLayernorm });
  const rows = tensors.get('vision_model.embeddings.position_embedding')?.tensor.shape[1];
  const patchSize = integer(section, 'patch_size', PATCH_SIZE);
  const ofTensor = rows === undefined ? undefined : Math.sqrt(rows - 1) * patchSize;
  const trained = trainingNumber(sources, 'image_size');
  return readVisionConfig(section, {
    ...ORIGINAL_VISION,
    imageSize: trained ?? (hasFixedImageSize ? imageSize : (ofTensor ?? imageSize)),
    mayLackPostLayernorm,
  });
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
    rank: integer(section, 'r', trainingNumber(sources, 'lora_r') ?? published.rank),
    alpha: integer(section, 'alpha', trainingNumber(sources, 'lora_alpha') ?? published.alpha),
  };
}

/** A number among the settings of the training run that is nearest to the end. */
function trainingNumber(sources: readonly RoledSource[], key: string): number | undefined {
  const settings = sources
    .filter(({ role }) => role.kind === 'trained-parts')
    .map(({ source }) => source.trainingSettings)
    .findLast((reader) => reader.has(key));
  return settings?.integer(key);
}

function emptyConfig(): ObjectReader {
  return ObjectReader.parse('{}', '--config');
}
