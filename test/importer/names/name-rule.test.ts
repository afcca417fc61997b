/** Every published layout becomes the names that the architectures ask for. */
import { describe, expect, test } from 'vitest';
import { LANGUAGE_ARCHITECTURES } from '../../../src/importer/architectures/language-architectures.ts';
import { HUGGINGFACE_NAMES } from '../../../src/importer/names/huggingface.ts';
import { lavisNames } from '../../../src/importer/names/lavis.ts';
import { renameMinigpt4 } from '../../../src/importer/names/minigpt4.ts';
import { rename } from '../../../src/importer/names/name-rule.ts';
import { unneededReason } from '../../../src/importer/names/unneeded.ts';

describe('LAVIS', () => {
  test.each([
    ['blocks.3.attn.q_bias', 'vision_model.encoder.layers.3.self_attn.q_bias'],
    ['visual_encoder.blocks.38.attn.qkv.weight', 'vision_model.encoder.layers.38.self_attn.qkv.weight'],
    ['visual_encoder.blocks.0.norm2.bias', 'vision_model.encoder.layers.0.layer_norm2.bias'],
    ['patch_embed.proj.weight', 'vision_model.embeddings.patch_embedding.weight'],
    ['ln_vision.weight', 'vision_model.post_layernorm.weight'],
    ['Qformer.bert.embeddings.LayerNorm.bias', 'qformer.layernorm.bias'],
    [
      'Qformer.bert.encoder.layer.2.crossattention.self.key.weight',
      'qformer.encoder.layer.2.crossattention.attention.key.weight',
    ],
    [
      'Qformer.bert.encoder.layer.2.attention.output.dense.weight',
      'qformer.encoder.layer.2.attention.output.dense.weight',
    ],
    ['Qformer.cls.predictions.transform.LayerNorm.weight', 'qformer.cls.predictions.transform.LayerNorm.weight'],
  ])('%s', (name, expected) => {
    expect(rename(name, lavisNames())).toEqual({ name: expected });
    expect(rename(name, lavisNames('t5'))).toEqual({ name: expected });
  });

  test("the language model's own names are those of the model that is imported", () => {
    expect(rename('t5_proj.bias', lavisNames('t5'))).toEqual({ name: 'language_projection.bias' });
    const name = 'opt_model.model.decoder.embed_tokens.weight';
    expect(rename(name, lavisNames('opt'))).toEqual({ name: name.replace('opt_model', 'language_model') });
    expect(rename(name, lavisNames('t5'))).toBeUndefined();
  });

  test.each(['norm.weight', 'head.bias', 'temp', 'Qformer.bert.embeddings.position_ids'])(
    '%s is not needed',
    (name) => {
      expect(rename(name, lavisNames('opt'))).toHaveProperty('unneeded');
    },
  );

  test("another model's projection is never taken for this one's", () => {
    expect(rename('t5_proj.weight', lavisNames())).toHaveProperty('unneeded');
    expect(rename('t5_proj.weight', lavisNames('opt'))).toHaveProperty('unneeded');
    expect(renameMinigpt4('t5_proj.weight')).toHaveProperty('unneeded');
  });

  test.each(['blocks.0.ls1.gamma', 'Qformer.pooler.weight', 'llama_proj.weight'])('%s is unknown', (name) => {
    expect(rename(name, lavisNames('opt'))).toBeUndefined();
  });
});

describe('Hugging Face', () => {
  test.each([
    ['qformer.embeddings.layernorm.weight', 'qformer.layernorm.weight'],
    ['embeddings.word_embeddings.weight', 'qformer.embeddings.word_embeddings.weight'],
    ['language_model.lm_head.weight', 'language_model.lm_head.weight'],
    ['itm_head.bias', 'itm_head.bias'],
  ])('%s', (name, expected) => {
    expect(rename(name, HUGGINGFACE_NAMES)).toEqual({ name: expected });
  });
});

describe('a language model in a folder of its own', () => {
  test.each([
    ['opt', 'model.decoder.layers.0.fc1.weight', 'language_model.model.decoder.layers.0.fc1.weight'],
    ['opt', 'decoder.layers.0.fc1.weight', 'language_model.model.decoder.layers.0.fc1.weight'],
    ['t5', 'decoder.final_layer_norm.weight', 'language_model.decoder.final_layer_norm.weight'],
    ['t5', 'shared.weight', 'language_model.shared.weight'],
    ['llama', 'model.norm.weight', 'language_model.model.norm.weight'],
    ['phi', 'transformer.h.7.mixer.Wqkv.bias', 'language_model.model.layers.7.self_attn.Wqkv.bias'],
    ['phi', 'lm_head.ln.weight', 'language_model.model.final_layernorm.weight'],
    ['phi', 'model.layers.1.self_attn.q_proj.weight', 'language_model.model.layers.1.self_attn.q_proj.weight'],
  ] as const)('%s: %s', (architecture, name, expected) => {
    const { names = [] } = LANGUAGE_ARCHITECTURES.find((one) => one.name === architecture) ?? {};
    expect(rename(name, names)).toEqual({ name: expected });
  });
});

describe('what the training of MiniGPT-4 and TinyGPT-V saved', () => {
  test.each([
    ['llama_proj2.bias', 'language_projection2.bias'],
    [
      'llama_model.base_model.model.model.layers.0.self_attn.dense.lora_A.weight',
      'language_model.model.layers.0.self_attn.dense.lora_A.weight',
    ],
    [
      'llama_model.base_model.model.model.layers.0.self_attn.q_proj.lora_B.default.weight',
      'language_model.model.layers.0.self_attn.q_proj.lora_B.weight',
    ],
    [
      'llama_model.base_model.model.model.layers.0.self_attn.q_proj.base_layer.weight',
      'language_model.model.layers.0.self_attn.q_proj.weight',
    ],
    ['llama_model.model.layers.0.post_layernorm.weight', 'language_model.model.layers.0.post_layernorm.weight'],
  ])('%s', (name, expected) => {
    expect(renameMinigpt4(name)).toEqual({ name: expected });
  });

  test('rotary buffers are not needed', () => {
    expect(renameMinigpt4('llama_model.model.layers.0.self_attn.rotary_emb.inv_freq')).toHaveProperty('unneeded');
  });
});

test('a block of the image encoder may be left over only behind the last one that is used', () => {
  expect(unneededReason('vision_model.encoder.layers.39.mlp.fc1.weight', 39)).toContain('after the last');
  expect(unneededReason('vision_model.encoder.layers.38.mlp.fc1.weight', 39)).toBeUndefined();
});
