/**
 * The sizes of the model that an import builds, from wherever they are said: the user's `--config`, the config.json of a whole model or of
 * a language model, the settings of a training run, the tensors, and the family's published constants, in this order (spec 4.5, 8.1).
 */
import { CheckpointError } from '../errors.ts';
import type { Family } from '../pack/model-declaration.ts';
import { ObjectReader } from '../pack/object-reader.ts';
import { integer } from './architectures/config-keys.ts';
import { readLlamaConfig, type LlamaConfig } from './architectures/llama-config.ts';
import type { LoraConfig } from './architectures/lora-config.ts';
import { readOptConfig, type OptConfig } from './architectures/opt-config.ts';
import { readPhiConfig, type PhiConfig } from './architectures/phi-config.ts';
import { readQFormerConfig, type QFormerConfig } from './architectures/qformer-config.ts';
import { readT5Config, type T5Config } from './architectures/t5-config.ts';
import { readVisionConfig, type VisionConfig } from './architectures/vision-config.ts';
import { explainMissing, FAMILY_TRAITS, isMinigpt4Like } from './families.ts';
import type { OpenTensor } from './read/weights.ts';
import type { RoledSource } from './source-role.ts';

export type LanguageConfig =
  | { architecture: 'opt'; config: OptConfig }
  | { architecture: 't5'; config: T5Config }
  | { architecture: 'llama'; config: LlamaConfig }
  | { architecture: 'phi'; config: PhiConfig };

export type ModelConfig = {
  vision: VisionConfig;
  /** Undefined where four patches are joined instead. */
  qformer: QFormerConfig | undefined;
  numQueryTokens: number;
  /** Undefined for packs that only match. */
  language: LanguageConfig | undefined;
};

/** Published constants of the adaptations (spec 4.5). */
const LORA = { rank: 64, alpha: 16 };

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
  const whole = sources.map(({ role }) => role).find((role) => role.kind === 'whole-model');
  const config = override ?? whole?.config ?? emptyConfig();
  const vision = readVision(sources, tensors, family, config, whole !== undefined);
  const qformer =
    traits.bridge === 'patches'
      ? undefined
      : readQFormerConfig(config.objectOrEmpty('qformer_config'), vision.hiddenSize);
  const queries = tensors.get('query_tokens')?.tensor.shape[1] ?? 32;
  return {
    vision,
    qformer,
    numQueryTokens: integer(config, 'num_query_tokens', queries),
    language: readLanguage(sources, family, config, whole?.config),
  };
}

function readVision(
  sources: readonly RoledSource[],
  tensors: ReadonlyMap<string, OpenTensor>,
  family: Family,
  config: ObjectReader,
  isWhole: boolean,
): VisionConfig {
  const traits = FAMILY_TRAITS[family];
  const section = config.objectOrEmpty('vision_config');
  const patchSize = integer(section, 'patch_size', 14);
  const trained = trainingNumber(sources, 'image_size');
  const rows = tensors.get('vision_model.embeddings.position_embedding')?.tensor.shape[1];
  const ofTensor = rows === undefined ? undefined : Math.sqrt(rows - 1) * patchSize;
  const imageSize = isWhole ? 224 : (trained ?? (traits.hasFixedImageSize ? traits.imageSize : ofTensor));
  return readVisionConfig(section, {
    imageSize: imageSize ?? traits.imageSize,
    layerNormEps: 1e-6,
    // Hugging Face has one epsilon for all norms; the originals leave PyTorch's default to the last one.
    postLayerNormEps: isWhole ? 1e-6 : 1e-5,
    mayLackPostLayernorm: traits.bridge === 'patches',
  });
}

function readLanguage(
  sources: readonly RoledSource[],
  family: Family,
  override: ObjectReader,
  whole: ObjectReader | undefined,
): LanguageConfig | undefined {
  const architecture = FAMILY_TRAITS[family].language;
  if (architecture === undefined) return undefined;
  const folder = sources.findLast(({ role }) => role.kind === 'language-model' && !role.isDelta);
  const ofFolder = folder?.role.kind === 'language-model' ? folder.role.config : undefined;
  const section = override.has('text_config') ? override.object('text_config') : whole?.objectOrEmpty('text_config');
  const text = section ?? ofFolder;
  if (text === undefined) {
    const where = sources.map(({ source }) => source.path).join(', ');
    throw new CheckpointError(
      where,
      `the language model is missing: a folder with config.json, weights and tokenizer. ${explainMissing(family, 'language_model.')}`,
    );
  }
  const lora = readLora(sources, override);
  switch (architecture) {
    case 'opt':
      return { architecture, config: readOptConfig(text) };
    case 't5': {
      const config = readT5Config(text);
      // LAVIS replaces the published activation of Flan-T5 by the exact GELU, which whole repositories say themselves.
      return { architecture, config: section === undefined ? { ...config, denseActFn: 'gelu' } : config };
    }
    case 'llama':
      return { architecture, config: readLlamaConfig(text, isMinigpt4Like(family) ? lora : undefined) };
    default:
      return { architecture, config: readPhiConfig(text, { hasTinyGptVNorms: true, lora }) };
  }
}

/** Rank and alpha of an adaptation, where the checkpoint may bring one. */
function readLora(sources: readonly RoledSource[], override: ObjectReader): LoraConfig {
  const section = override.objectOrEmpty('lora');
  return {
    rank: integer(section, 'r', trainingNumber(sources, 'lora_r') ?? LORA.rank),
    alpha: integer(section, 'alpha', trainingNumber(sources, 'lora_alpha') ?? LORA.alpha),
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

/** Width of the language model's embeddings. */
export function languageHiddenSize(language: LanguageConfig | undefined): number {
  if (language === undefined) throw new RangeError('there is no language model');
  return language.architecture === 't5' ? language.config.dModel : language.config.hiddenSize;
}
