/** TinyGPT-V (https://arxiv.org/abs/2312.16862): trained with MiniGPT-4's code, and with a Phi-2 that got norms of its own. */
import { PHI } from '../architectures/phi.ts';
import { familyLanguage, type FamilyTraits, type FoundParts } from './family-traits.ts';
import { LAVIS_STAGE2, MINIGPT4_PARTS, MINIGPT_V2_ARCH } from './minigpt4.ts';

const ADAPTED_PHI = familyLanguage(PHI, (config, { lora }) => ({ ...config, hasTinyGptVNorms: true, lora }));
const PHI_SOURCE = 'microsoft/phi-2 on the Hugging Face hub';

function isTinyGptV({ language, has }: FoundParts): boolean {
  return language === PHI || has(/^llama_proj2\./);
}

/** Stages 1 to 3. */
export const TINYGPT_V: FamilyTraits = {
  ...MINIGPT4_PARTS,
  language: ADAPTED_PHI,
  bridge: 'queries',
  promptFamily: 'tinygpt-v',
  imageSize: 224,
  isMadeOf: isTinyGptV,
  published: {
    languageModel: PHI_SOURCE,
    qformer: LAVIS_STAGE2,
    trainedParts: 'TinyGPT-V_for_Stage1.pth, …2 or …3 of Tyrannosaurus/TinyGPT-V on the Hugging Face hub',
  },
};

export const TINYGPT_V_STAGE4: FamilyTraits = {
  ...MINIGPT4_PARTS,
  language: ADAPTED_PHI,
  bridge: 'queries',
  promptFamily: 'tinygpt-v-stage4',
  imageSize: 448,
  hasFixedImageSize: true,
  isMadeOf: (parts) => isTinyGptV(parts) && parts.arch === MINIGPT_V2_ARCH,
  published: {
    languageModel: PHI_SOURCE,
    qformer: LAVIS_STAGE2,
    trainedParts: 'TinyGPT-V_for_Stage4.pth of Tyrannosaurus/TinyGPT-V on the Hugging Face hub',
  },
};
