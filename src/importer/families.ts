/** What distinguishes the families at import: parts, published constants, and where missing parts are found (spec 0, 8.1). */
import type { Bridge } from '../pack/bridge.ts';
import type { Family } from '../pack/model-declaration.ts';

export type FamilyTraits = {
  /** Architecture of the language model; none for packs that only match. */
  language: 'opt' | 't5' | 'llama' | 'phi' | undefined;
  bridge: Bridge;
  /** Name of a file in `prompts/`. */
  promptFamily: string | undefined;
  /** Side of the image where no config and no tensor says anything else. */
  imageSize: number;
  /** True for a family whose models were trained at this side, although the image encoder's file has the positions of another. */
  hasFixedImageSize: boolean;
  /** Where the parts are published, for the message about a missing one. */
  languageModelSource: string;
  projectSource: string;
};

const EVA = 'eva_vit_g.pth of LAVIS (storage.googleapis.com/sfr-vision-language-research/LAVIS/models/BLIP2)';
const STAGE2 =
  'blip2_pretrained_flant5xxl.pth of LAVIS (storage.googleapis.com/sfr-vision-language-research/LAVIS/models/BLIP2)';

const BASE = { imageSize: 224, hasFixedImageSize: false } as const;
const LAVIS_FILE = 'the blip2_pretrained_… file of LAVIS, or the whole Hugging Face repository';

export const FAMILY_TRAITS: Readonly<Record<Family, FamilyTraits>> = {
  'blip2-opt': {
    ...BASE,
    language: 'opt',
    bridge: 'queries',
    promptFamily: 'blip2',
    languageModelSource: 'facebook/opt-2.7b or opt-6.7b on the Hugging Face hub',
    projectSource: LAVIS_FILE,
  },
  'blip2-t5': {
    ...BASE,
    language: 't5',
    bridge: 'queries',
    promptFamily: 'blip2',
    languageModelSource: 'google/flan-t5-xl or flan-t5-xxl on the Hugging Face hub',
    projectSource: LAVIS_FILE,
  },
  'blip2-itm': {
    ...BASE,
    language: undefined,
    bridge: 'matching',
    promptFamily: undefined,
    languageModelSource: '',
    projectSource: 'blip2_pretrained.pth of LAVIS, or Salesforce/blip2-itm-vit-g on the Hugging Face hub',
  },
  'instructblip-t5': {
    ...BASE,
    language: 't5',
    bridge: 'instruction',
    promptFamily: 'instructblip',
    languageModelSource: 'google/flan-t5-xl or flan-t5-xxl on the Hugging Face hub',
    projectSource: 'the instruct_blip_… file of LAVIS, or the whole Hugging Face repository',
  },
  'instructblip-vicuna': {
    ...BASE,
    language: 'llama',
    bridge: 'instruction',
    promptFamily: 'instructblip',
    languageModelSource: 'lmsys/vicuna-7b-v1.1 on the Hugging Face hub',
    projectSource: 'the instruct_blip_vicuna… file of LAVIS, or the whole Hugging Face repository',
  },
  'minigpt4-vicuna': {
    ...BASE,
    language: 'llama',
    bridge: 'queries',
    promptFamily: 'minigpt4-vicuna',
    languageModelSource:
      'Vicuna v0 (Vision-CAIR/vicuna-7b, or LLaMA with lmsys/vicuna-7b-delta-v0, on the Hugging Face hub)',
    projectSource: 'prerained_minigpt4_7b.pth or pretrained_minigpt4.pth of the MiniGPT-4 project',
  },
  'minigpt4-llama2': {
    ...BASE,
    language: 'llama',
    bridge: 'patches',
    promptFamily: 'minigpt4-llama2',
    languageModelSource: 'meta-llama/Llama-2-7b-chat-hf on the Hugging Face hub',
    projectSource: 'pretrained_minigpt4_llama2_7b.pth of the MiniGPT-4 project',
  },
  'minigpt-v2': {
    language: 'llama',
    bridge: 'patches',
    promptFamily: 'minigpt-v2',
    imageSize: 448,
    hasFixedImageSize: true,
    languageModelSource: 'meta-llama/Llama-2-7b-chat-hf on the Hugging Face hub',
    projectSource: 'minigptv2_checkpoint.pth of the MiniGPT-4 project',
  },
  'tinygpt-v': {
    ...BASE,
    language: 'phi',
    bridge: 'queries',
    promptFamily: 'tinygpt-v',
    languageModelSource: 'microsoft/phi-2 on the Hugging Face hub',
    projectSource: 'TinyGPT-V_for_Stage1.pth, …2 or …3 of Tyrannosaurus/TinyGPT-V on the Hugging Face hub',
  },
  'tinygpt-v-stage4': {
    language: 'phi',
    bridge: 'queries',
    promptFamily: 'tinygpt-v-stage4',
    imageSize: 448,
    hasFixedImageSize: true,
    languageModelSource: 'microsoft/phi-2 on the Hugging Face hub',
    projectSource: 'TinyGPT-V_for_Stage4.pth of Tyrannosaurus/TinyGPT-V on the Hugging Face hub',
  },
};

/** Whether a family is one of those whose parts are published by several projects, and put together by ours. */
export function isMinigpt4Like(family: Family): boolean {
  return family.startsWith('minigpt') || family.startsWith('tinygpt');
}

/** Which part a missing tensor belongs to, and where that is published. */
export function explainMissing(family: Family, name: string): string {
  const traits = FAMILY_TRAITS[family];
  if (name.startsWith('vision_model.post_layernorm') || name.startsWith('qformer.') || name === 'query_tokens') {
    const where = isMinigpt4Like(family) ? STAGE2 : traits.projectSource;
    return `It belongs to the Q-Former's file: ${where}.`;
  }
  if (name.startsWith('vision_model.')) return `It belongs to the image encoder: ${EVA}.`;
  if (name.startsWith('language_model.')) return `It belongs to the language model: ${traits.languageModelSource}.`;
  return `It belongs to ${traits.projectSource}.`;
}
