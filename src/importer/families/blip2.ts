/**
 * BLIP-2 (https://arxiv.org/abs/2301.12597), published by LAVIS in parts and by transformers as whole models, and its first stage, which
 * matches images with texts.
 */
import { OPT } from '../architectures/opt.ts';
import { T5 } from '../architectures/t5.ts';
import { lavisNames } from '../names/lavis.ts';
import { renaming } from '../names/name-rule.ts';
import { familyLanguage, type FamilyTraits } from './family-traits.ts';

/**
 * How LAVIS names what it trained.
 *
 * @param language what the names of language model and projection begin with; without it, the family has neither
 */
export function lavisParts(language?: string): Pick<FamilyTraits, 'projection' | 'renamePart'> {
  return {
    projection: language === undefined ? undefined : `${language}_proj`,
    renamePart: renaming(lavisNames(language)),
  };
}

const LAVIS_FILE = 'the blip2_pretrained_… file of LAVIS, or the whole Hugging Face repository';

/** LAVIS computes Flan-T5 with the exact GELU instead of its published activation. The configs of whole models say so themselves. */
export const LAVIS_FLAN_T5 = familyLanguage(T5, (config, { isOwnFolder }) => ({
  ...config,
  denseActFn: isOwnFolder ? 'gelu' : config.denseActFn,
}));
export const FLAN_T5_SOURCE = 'google/flan-t5-xl or flan-t5-xxl on the Hugging Face hub';

export const BLIP2_OPT: FamilyTraits = {
  language: familyLanguage(OPT),
  bridge: 'queries',
  promptFamily: 'blip2',
  imageSize: 224,
  wholeModel: { modelType: 'blip-2' },
  ...lavisParts('opt'),
  // A line feed. Only whole models say it in their config.
  endToken: 'Ċ',
  published: {
    languageModel: 'facebook/opt-2.7b or opt-6.7b on the Hugging Face hub',
    trainedParts: LAVIS_FILE,
  },
};

export const BLIP2_T5: FamilyTraits = {
  language: LAVIS_FLAN_T5,
  bridge: 'queries',
  promptFamily: 'blip2',
  imageSize: 224,
  wholeModel: { modelType: 'blip-2' },
  ...lavisParts('t5'),
  published: { languageModel: FLAN_T5_SOURCE, trainedParts: LAVIS_FILE },
};

export const BLIP2_ITM: FamilyTraits = {
  language: undefined,
  bridge: 'matching',
  promptFamily: undefined,
  imageSize: 224,
  wholeModel: { modelType: 'blip-2', architecture: 'Blip2ForImageTextRetrieval' },
  ...lavisParts(),
  isMadeOf: ({ language, has }) => language === undefined && has(/^itm_head\./),
  published: { trainedParts: 'blip2_pretrained.pth of LAVIS, or Salesforce/blip2-itm-vit-g on the Hugging Face hub' },
};
