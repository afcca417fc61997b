/** BLIP-2, its matching variant and InstructBLIP as Hugging Face publishes them. Most names are those we use. */
import type { NameRule } from './name-rule.ts';

export const HUGGINGFACE_NAMES: readonly NameRule[] = [
  { pattern: /\.position_ids$/, unneeded: 'a buffer that only counts positions' },
  { pattern: /^qformer\.embeddings\.layernorm\./, name: 'qformer.layernorm.' },
  { pattern: /^embeddings\.(word|position)_embeddings\./, name: 'qformer.embeddings.$1_embeddings.' },
  {
    pattern: /^(vision_model|qformer|language_model|language_projection|vision_projection|text_projection|itm_head)\./,
    name: '$1.',
  },
  { pattern: /^query_tokens$/, name: 'query_tokens' },
];
