/** InstructBLIP (https://arxiv.org/abs/2305.06500), whose Q-Former reads the instruction; published as BLIP-2 is. */
import { LLAMA } from '../architectures/llama.ts';
import { FLAN_T5_SOURCE, LAVIS_FLAN_T5, lavisParts } from './blip2.ts';
import { familyLanguage, type FamilyTraits } from './family-traits.ts';

export const INSTRUCTBLIP_T5: FamilyTraits = {
  language: LAVIS_FLAN_T5,
  bridge: 'instruction',
  promptFamily: 'instructblip',
  imageSize: 224,
  wholeModel: { modelType: 'instructblip' },
  ...lavisParts('t5'),
  // BLIP-2's files with this projection hold no text embeddings, or those of the first stage with its matching heads.
  isMadeOf: ({ has }) => has(/^Qformer\.bert\.embeddings\.word_embeddings\./) && !has(/^itm_head\./),
  published: {
    languageModel: FLAN_T5_SOURCE,
    trainedParts: 'the instruct_blip_… file of LAVIS, or the whole Hugging Face repository',
  },
};

export const INSTRUCTBLIP_VICUNA: FamilyTraits = {
  language: familyLanguage(LLAMA),
  bridge: 'instruction',
  promptFamily: 'instructblip',
  imageSize: 224,
  wholeModel: { modelType: 'instructblip' },
  ...lavisParts('llm'),
  // LAVIS set Vicuna's start token to its end token; a whole model says so itself.
  startToken: '</s>',
  published: {
    languageModel: 'lmsys/vicuna-7b-v1.1 on the Hugging Face hub',
    trainedParts: 'the instruct_blip_vicuna… file of LAVIS, or the whole Hugging Face repository',
  },
};
