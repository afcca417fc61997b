/**
 * MiniGPT-4 (https://arxiv.org/abs/2304.10592) and MiniGPT-v2 (https://arxiv.org/abs/2310.09478): trained parts of one project, put together
 * with the image encoder and the Q-Former of LAVIS and a language model of a third publisher.
 */
import { LLAMA } from '../architectures/llama.ts';
import { renameMinigpt4 } from '../names/minigpt4.ts';
import { familyLanguage, type FamilyTraits } from './family-traits.ts';

/** What all models have that were trained with this project's code. */
export const MINIGPT4_PARTS = {
  projection: 'llama_proj',
  renamePart: renameMinigpt4,
  lora: { rank: 64, alpha: 16 },
} as const;

export const LAVIS_STAGE2 =
  'blip2_pretrained_flant5xxl.pth of LAVIS (storage.googleapis.com/sfr-vision-language-research/LAVIS/models/BLIP2)';

/** `arch` in the settings of a training run of MiniGPT-v2. */
export const MINIGPT_V2_ARCH = 'minigpt_v2';

const ADAPTED_LLAMA = familyLanguage(LLAMA, (config, { lora }) => ({ ...config, lora }));
const LLAMA2_SOURCE = 'meta-llama/Llama-2-7b-chat-hf on the Hugging Face hub';

export const MINIGPT4_VICUNA: FamilyTraits = {
  ...MINIGPT4_PARTS,
  language: ADAPTED_LLAMA,
  bridge: 'queries',
  promptFamily: 'minigpt4-vicuna',
  imageSize: 224,
  isMadeOf: ({ has }) => has(/^Qformer\.bert\.encoder\./),
  prefersSentencePiece: true,
  published: {
    languageModel: 'Vicuna v0 (Vision-CAIR/vicuna-7b, or LLaMA with lmsys/vicuna-7b-delta-v0, on the Hugging Face hub)',
    qformer: LAVIS_STAGE2,
    trainedParts: 'prerained_minigpt4_7b.pth or pretrained_minigpt4.pth of the MiniGPT-4 project',
  },
};

export const MINIGPT_V2: FamilyTraits = {
  ...MINIGPT4_PARTS,
  language: ADAPTED_LLAMA,
  bridge: 'patches',
  promptFamily: 'minigpt-v2',
  imageSize: 448,
  hasFixedImageSize: true,
  isMadeOf: ({ arch, has }) => arch === MINIGPT_V2_ARCH || has(/\.lora_A\./),
  prefersSentencePiece: true,
  published: { languageModel: LLAMA2_SOURCE, trainedParts: 'minigptv2_checkpoint.pth of the MiniGPT-4 project' },
};

export const MINIGPT4_LLAMA2: FamilyTraits = {
  ...MINIGPT4_PARTS,
  language: ADAPTED_LLAMA,
  bridge: 'patches',
  promptFamily: 'minigpt4-llama2',
  imageSize: 224,
  prefersSentencePiece: true,
  published: {
    languageModel: LLAMA2_SOURCE,
    trainedParts: 'pretrained_minigpt4_llama2_7b.pth of the MiniGPT-4 project',
  },
};
