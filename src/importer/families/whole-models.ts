/** Whole models as transformers publishes them: which family a config.json describes. */
import type { Family } from '../../pack/model-declaration.ts';
import type { ObjectReader } from '../../pack/object-reader.ts';
import { FAMILY_TRAITS, findFamily } from './families.ts';

/** The language model inside, where the config does not name it: the default of transformers' config classes. */
const DEFAULT_TEXT_TYPE = 'opt';

const WHOLE_FAMILIES = Object.values(FAMILY_TRAITS).filter(({ wholeModel }) => wholeModel !== undefined);

/** Whether a `model_type` is that of whole models. */
export function isWholeModelType(modelType: string): boolean {
  return WHOLE_FAMILIES.some(({ wholeModel }) => wholeModel?.modelType === modelType);
}

/** The family of the whole model that a config.json describes; undefined where it describes none of ours. */
export function familyOfConfig(config: ObjectReader): Family | undefined {
  const modelType = config.has('model_type') ? config.string('model_type') : undefined;
  const architectures = config.has('architectures') ? config.strings('architectures') : [];
  const textType = textTypeOf(config) ?? DEFAULT_TEXT_TYPE;
  return findFamily(({ wholeModel, language }) => {
    if (wholeModel === undefined || wholeModel.modelType !== modelType) return false;
    return wholeModel.architecture === undefined
      ? language?.architecture.modelTypes.includes(textType) === true
      : architectures.includes(wholeModel.architecture);
  });
}

/** What a config.json describes, in a few words. */
export function describeConfig(config: ObjectReader): string {
  const modelType = config.has('model_type') ? config.string('model_type') : 'no model_type';
  const textType = textTypeOf(config);
  return textType === undefined ? modelType : `${modelType} with ${textType}`;
}

/** `blip-2 (with opt or t5) and instructblip (with …)`: the whole models that can be imported. */
export function knownWholeModels(): string {
  const languages = new Map<string, Set<string>>();
  for (const { wholeModel, language } of WHOLE_FAMILIES) {
    if (wholeModel === undefined || language === undefined) continue;
    const names = languages.get(wholeModel.modelType) ?? new Set<string>();
    languages.set(wholeModel.modelType, names.add(language.architecture.name));
  }
  return [...languages].map(([modelType, names]) => `${modelType} (with ${[...names].join(' or ')})`).join(' and ');
}

function textTypeOf(config: ObjectReader): string | undefined {
  const text = config.objectOrEmpty('text_config');
  return text.has('model_type') ? text.string('model_type') : undefined;
}
