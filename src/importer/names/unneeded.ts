/** Tensors that are left over although we know them, by our names. */
import type { UnneededRule } from './name-rule.ts';

/** What may be left over of the parts before the language model. */
const UNNEEDED: readonly UnneededRule[] = [
  { pattern: /^qformer\.embeddings\./, unneeded: 'text embeddings of a Q-Former that reads no text here' },
  {
    pattern: /^qformer\.encoder\.layer\.\d+\.(intermediate|output)\./,
    unneeded: 'a text part of the Q-Former that nothing reads here',
  },
  { pattern: /^qformer\.cls\./, unneeded: 'language head of the Q-Former' },
  { pattern: /^(vision_projection|text_projection|itm_head)\./, unneeded: 'a head for matching images with texts' },
];

/**
 * Why a tensor may be left over, or undefined for one whose absence from the model would change its answers.
 *
 * @param visionLayers blocks of the image encoder that the model uses
 * @param ofLanguage what the language model leaves over
 */
export function unneededReason(
  name: string,
  visionLayers: number,
  ofLanguage: readonly UnneededRule[] = [],
): string | undefined {
  const block = /^vision_model\.encoder\.layers\.(\d+)\./.exec(name);
  if (block !== null && Number(block[1]) >= visionLayers) return 'a block of the image encoder after the last one used';
  return [...UNNEEDED, ...ofLanguage].find(({ pattern }) => pattern.test(name))?.unneeded;
}
