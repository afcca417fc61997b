/** A language model in a folder of its own, as Hugging Face publishes it (spec 4): our names have a prefix in front. */
import type { NameRule } from './name-rule.ts';

/** Architectures of language models. */
export type LanguageArchitecture = 'opt' | 't5' | 'llama' | 'phi';

const ROTARY_BUFFER: NameRule = { pattern: /\.rotary_emb\.inv_freq$/, unneeded: 'a buffer of rotary frequencies' };
const HEAD: NameRule = { pattern: /^lm_head\.(weight|bias)$/, name: 'language_model.lm_head.$1' };

export const LANGUAGE_MODEL_NAMES: Readonly<Record<LanguageArchitecture, readonly NameRule[]>> = {
  opt: [
    // Older files lack the outermost name.
    { pattern: /^(?:model\.)?decoder\./, name: 'language_model.model.decoder.' },
    HEAD,
  ],
  t5: [{ pattern: /^(shared|encoder|decoder)\./, name: 'language_model.$1.' }, HEAD],
  llama: [ROTARY_BUFFER, { pattern: /^model\.(embed_tokens|layers|norm)\./, name: 'language_model.model.$1.' }, HEAD],
  phi: [
    ROTARY_BUFFER,
    { pattern: /^model\.(embed_tokens|layers|final_layernorm)\./, name: 'language_model.model.$1.' },
    HEAD,
    // As it was first published.
    { pattern: /\.mixer\.(?:inner_attn|inner_cross_attn|rotary_emb)\./, unneeded: 'a buffer of the attention' },
    { pattern: /^transformer\.embd\.wte\./, name: 'language_model.model.embed_tokens.' },
    { pattern: /^transformer\.h\.(\d+)\.ln\./, name: 'language_model.model.layers.$1.input_layernorm.' },
    { pattern: /^transformer\.h\.(\d+)\.mixer\.Wqkv\./, name: 'language_model.model.layers.$1.self_attn.Wqkv.' },
    { pattern: /^transformer\.h\.(\d+)\.mixer\.out_proj\./, name: 'language_model.model.layers.$1.self_attn.dense.' },
    { pattern: /^transformer\.h\.(\d+)\.mlp\./, name: 'language_model.model.layers.$1.mlp.' },
    { pattern: /^lm_head\.ln\./, name: 'language_model.model.final_layernorm.' },
    { pattern: /^lm_head\.linear\./, name: 'language_model.lm_head.' },
  ],
};

/** `model_type` of a config.json -> the architecture; undefined for others. */
export function languageArchitecture(modelType: string): LanguageArchitecture | undefined {
  const types = { opt: 'opt', t5: 't5', llama: 'llama', phi: 'phi', 'phi-msft': 'phi' } as const;
  return Object.hasOwn(types, modelType) ? types[modelType as keyof typeof types] : undefined;
}
