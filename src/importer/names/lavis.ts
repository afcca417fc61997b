/**
 * LAVIS: `eva_vit_g.pth` as a bare state dict, and the files that hold what was trained around it. MiniGPT-4 and TinyGPT-V read the same
 * files.
 */
import type { NameRule } from './name-rule.ts';

/** The image encoder, with and without the prefix it has inside a larger model. */
const VISION: readonly NameRule[] = [
  { pattern: /^(?:visual_encoder\.)?cls_token$/, name: 'vision_model.embeddings.class_embedding' },
  { pattern: /^(?:visual_encoder\.)?pos_embed$/, name: 'vision_model.embeddings.position_embedding' },
  { pattern: /^(?:visual_encoder\.)?patch_embed\.proj\./, name: 'vision_model.embeddings.patch_embedding.' },
  {
    pattern: /^(?:visual_encoder\.)?blocks\.(\d+)\.norm([12])\./,
    name: 'vision_model.encoder.layers.$1.layer_norm$2.',
  },
  {
    pattern: /^(?:visual_encoder\.)?blocks\.(\d+)\.attn\.proj\./,
    name: 'vision_model.encoder.layers.$1.self_attn.projection.',
  },
  {
    pattern: /^(?:visual_encoder\.)?blocks\.(\d+)\.attn\.(qkv\.weight|qkv\.bias|q_bias|v_bias)$/,
    name: 'vision_model.encoder.layers.$1.self_attn.$2',
  },
  { pattern: /^(?:visual_encoder\.)?blocks\.(\d+)\.mlp\./, name: 'vision_model.encoder.layers.$1.mlp.' },
  {
    pattern: /^(?:visual_encoder\.)?(norm|fc_norm|head)\./,
    unneeded: "the classifier of the image encoder's own training",
  },
  {
    pattern: /^(?:visual_encoder\.)?(mask_token|rel_pos_bias\..*|blocks\.\d+\.attn\.relative_position_.*)$/,
    unneeded: "part of the image encoder's own training",
  },
  { pattern: /^ln_vision\./, name: 'vision_model.post_layernorm.' },
];

const QFORMER: readonly NameRule[] = [
  { pattern: /\.position_ids$/, unneeded: 'a buffer that only counts positions' },
  { pattern: /^query_tokens$/, name: 'query_tokens' },
  { pattern: /^Qformer\.bert\.embeddings\.LayerNorm\./, name: 'qformer.layernorm.' },
  { pattern: /^Qformer\.bert\.embeddings\./, name: 'qformer.embeddings.' },
  {
    pattern: /^Qformer\.bert\.encoder\.layer\.(\d+)\.(attention|crossattention)\.self\./,
    name: 'qformer.encoder.layer.$1.$2.attention.',
  },
  { pattern: /^Qformer\.bert\.encoder\.layer\./, name: 'qformer.encoder.layer.' },
  { pattern: /^Qformer\.cls\.predictions\.decoder\.bias$/, unneeded: 'the same as Qformer.cls.predictions.bias' },
  { pattern: /^Qformer\.cls\./, name: 'qformer.cls.' },
  { pattern: /^vision_proj\./, name: 'vision_projection.' },
  { pattern: /^text_proj\./, name: 'text_projection.' },
  { pattern: /^itm_head\./, name: 'itm_head.' },
  { pattern: /^temp$/, unneeded: 'the temperature of the contrastive training' },
];

/**
 * The rules for a file of LAVIS, or for one of a project that builds on them.
 *
 * @param language what the names of the language model and of the projection into it begin with (`t5` for `t5_model` and `t5_proj`); without
 *   it the projection of the file leads into another language model than the one that is imported
 */
export function lavisNames(language?: string): readonly NameRule[] {
  const own: NameRule[] = [
    { pattern: new RegExp(`^${language}_proj\\.`), name: 'language_projection.' },
    { pattern: new RegExp(`^${language}_model\\.`), name: 'language_model.' },
  ];
  return [
    ...VISION,
    ...QFORMER,
    ...(language === undefined ? [] : own),
    { pattern: /^(?:opt|t5|llm)_proj\./, unneeded: 'a projection into another language model' },
  ];
}
