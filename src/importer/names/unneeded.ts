/** Tensors that an architecture leaves over although it knows them, by our names, with the reason that is shown to the user. */

const UNNEEDED: readonly { pattern: RegExp; reason: string }[] = [
  { pattern: /^language_model\.lm_head\.weight$/, reason: 'the output head, tied to the token embeddings' },
  {
    pattern: /^language_model\.(encoder|decoder)\.embed_tokens\.weight$/,
    reason: 'a copy of the shared token embeddings',
  },
  { pattern: /^qformer\.embeddings\./, reason: 'text embeddings of a Q-Former that reads no text here' },
  {
    pattern: /^qformer\.encoder\.layer\.\d+\.(intermediate|output)\./,
    reason: 'a text part of the Q-Former that nothing reads here',
  },
  { pattern: /^qformer\.cls\./, reason: 'language head of the Q-Former' },
  { pattern: /^(vision_projection|text_projection|itm_head)\./, reason: 'a head for matching images with texts' },
];

/**
 * Why a tensor may be left over, or undefined for one whose absence from the model would change its answers.
 *
 * @param visionLayers blocks of the image encoder that the model uses
 */
export function unneededReason(name: string, visionLayers: number): string | undefined {
  const block = /^vision_model\.encoder\.layers\.(\d+)\./.exec(name);
  if (block !== null && Number(block[1]) >= visionLayers) return 'a block of the image encoder after the last one used';
  return UNNEEDED.find(({ pattern }) => pattern.test(name))?.reason;
}
