/** The families that can be imported, with what distinguishes them. */
import type { Family } from '../../pack/model-declaration.ts';
import { BLIP2_ITM, BLIP2_OPT, BLIP2_T5 } from './blip2.ts';
import type { FamilyTraits } from './family-traits.ts';
import { INSTRUCTBLIP_T5, INSTRUCTBLIP_VICUNA } from './instructblip.ts';
import { MINIGPT4_LLAMA2, MINIGPT4_VICUNA, MINIGPT_V2 } from './minigpt4.ts';
import { TINYGPT_V, TINYGPT_V_STAGE4 } from './tinygpt-v.ts';

/**
 * In the order in which they are asked whether sources are theirs. A family that asks for more stands before one that would take the same
 * sources.
 */
export const FAMILY_TRAITS: Readonly<Record<Family, FamilyTraits>> = {
  'blip2-itm': BLIP2_ITM,
  'blip2-opt': BLIP2_OPT,
  'instructblip-t5': INSTRUCTBLIP_T5,
  'blip2-t5': BLIP2_T5,
  'instructblip-vicuna': INSTRUCTBLIP_VICUNA,
  'tinygpt-v-stage4': TINYGPT_V_STAGE4,
  'tinygpt-v': TINYGPT_V,
  'minigpt4-vicuna': MINIGPT4_VICUNA,
  'minigpt-v2': MINIGPT_V2,
  'minigpt4-llama2': MINIGPT4_LLAMA2,
};

/** The first family for which this holds, undefined where there is none. */
export function findFamily(holds: (traits: FamilyTraits) => boolean): Family | undefined {
  const names = Object.keys(FAMILY_TRAITS) as Family[];
  return names.find((name) => holds(FAMILY_TRAITS[name]));
}

const EVA = 'eva_vit_g.pth of LAVIS (storage.googleapis.com/sfr-vision-language-research/LAVIS/models/BLIP2)';

/** Which part a missing tensor belongs to, and where that is published. */
export function explainMissing(family: Family, name: string): string {
  const { languageModel, trainedParts, qformer = trainedParts } = FAMILY_TRAITS[family].published;
  if (name.startsWith('vision_model.post_layernorm') || name.startsWith('qformer.') || name === 'query_tokens') {
    return `It belongs to the Q-Former's file: ${qformer}.`;
  }
  if (name.startsWith('vision_model.')) return `It belongs to the image encoder: ${EVA}.`;
  if (name.startsWith('language_model.') && languageModel !== undefined) {
    return `It belongs to the language model: ${languageModel}.`;
  }
  return `It belongs to ${trainedParts}.`;
}
