/** Numbers of configs that no model has: each is refused by its name, before it becomes a size of anything. */
import { describe, expect, test } from 'vitest';
import { CheckpointError } from '../../../src/errors.ts';
import { readVisionConfig } from '../../../src/importer/architectures/eva-vit.ts';
import { LLAMA } from '../../../src/importer/architectures/llama.ts';
import { OPT } from '../../../src/importer/architectures/opt.ts';
import { PHI } from '../../../src/importer/architectures/phi.ts';
import { readQFormerConfig } from '../../../src/importer/architectures/qformer-config.ts';
import { T5 } from '../../../src/importer/architectures/t5.ts';
import { ObjectReader } from '../../../src/pack/object-reader.ts';

const VISION = { imageSize: 224, layerNormEps: 1e-6, postLayerNormEps: 1e-6, mayLackPostLayernorm: false };

const READERS: Record<
  string,
  { read: (config: ObjectReader) => unknown; needed: object; sizes: string[]; epsilons: string[] }
> = {
  'image encoder': {
    read: (config) => readVisionConfig(config, VISION),
    needed: {},
    sizes: ['hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads', 'image_size', 'patch_size'],
    epsilons: ['layer_norm_eps', 'ln_vision_eps'],
  },
  'Q-Former': {
    read: (config) => readQFormerConfig(config, 1408),
    needed: {},
    sizes: [
      'hidden_size',
      'intermediate_size',
      'num_hidden_layers',
      'num_attention_heads',
      'cross_attention_frequency',
      'encoder_hidden_size',
    ],
    epsilons: ['layer_norm_eps'],
  },
  OPT: {
    read: (...given) => OPT.readConfig(...given),
    needed: {},
    sizes: ['hidden_size', 'ffn_dim', 'num_hidden_layers', 'num_attention_heads', 'max_position_embeddings'],
    epsilons: [],
  },
  T5: {
    read: (...given) => T5.readConfig(...given),
    needed: {},
    sizes: [
      'd_model',
      'd_kv',
      'd_ff',
      'num_layers',
      'num_decoder_layers',
      'num_heads',
      'relative_attention_num_buckets',
      'relative_attention_max_distance',
    ],
    epsilons: ['layer_norm_epsilon'],
  },
  LLaMA: {
    read: (...given) => LLAMA.readConfig(...given),
    needed: {},
    sizes: [
      'hidden_size',
      'intermediate_size',
      'num_hidden_layers',
      'num_attention_heads',
      'num_key_value_heads',
      'head_dim',
      'max_position_embeddings',
    ],
    epsilons: ['rms_norm_eps'],
  },
  Phi: {
    read: (...given) => PHI.readConfig(...given),
    needed: { partial_rotary_factor: 0.5 },
    sizes: ['hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads', 'max_position_embeddings'],
    epsilons: ['layer_norm_eps'],
  },
  'Phi as first published': {
    read: (...given) => PHI.readConfig(...given),
    needed: { n_embd: 2560, n_head: 32, n_layer: 32, rotary_dim: 32 },
    sizes: ['n_embd', 'n_head', 'n_layer', 'n_inner', 'n_positions'],
    epsilons: ['layer_norm_epsilon'],
  },
};

/** Reads a config from its text, in which a number may be what JavaScript cannot write as JSON. */
function read(name: string, key: string, value: string): () => unknown {
  const reader = READERS[name];
  const text = JSON.stringify({ ...reader?.needed, [key]: '@' }).replace('"@"', value);
  return () => {
    const config = ObjectReader.parse(text, 'config.json', (file, message) => new CheckpointError(file, message));
    return reader?.read(config);
  };
}

describe.each(Object.keys(READERS))('%s', (name) => {
  const { sizes = [], epsilons = [], needed = {} } = READERS[name] ?? {};

  test('takes its defaults', () => {
    const [key, value] = Object.entries(needed)[0] ?? ['unread', 0];
    expect(read(name, key, String(value))).not.toThrow();
  });

  test.each(sizes)('refuses a %s that is no size', (key) => {
    for (const value of ['0', '-1', '1.5', '1e18', '1e300', '1e999', '1000000000', '"64"', 'true', '[64]', '{}']) {
      expect(read(name, key, value), value).toThrow(new RegExp(`config\\.json: ${key} should be .* but is `));
    }
  });

  test.each(epsilons)('refuses a %s that is none', (key) => {
    for (const value of ['0', '-1e-5', '1', '1e300', '"1e-5"', 'false']) {
      expect(read(name, key, value), value).toThrow(new RegExp(`config\\.json: ${key} should be .* but is `));
    }
  });
});

test.each([
  ['LLaMA', 'rope_theta', '0'],
  ['LLaMA', 'rope_theta', '-10000'],
  ['LLaMA', 'rope_theta', '1e300'],
  ['LLaMA', 'rope_parameters', '{"rope_theta": 0.5}'],
  ['Phi', 'partial_rotary_factor', '0'],
  ['Phi', 'partial_rotary_factor', '-0.5'],
  ['Phi', 'partial_rotary_factor', '1e300'],
  ['Phi as first published', 'rotary_dim', '1000000000'],
  ['T5', 'decoder_start_token_id', '-1'],
  ['T5', 'decoder_start_token_id', '0.5'],
])('%s refuses %s: %s', (name, key, value) => {
  expect(read(name, key, value)).toThrow(/config\.json: .* should be .* but is /);
});

test('a number that Python writes and JSON does not have is no number', () => {
  expect(read('T5', 'd_model', 'NaN')).toThrow(/config\.json: the file is not valid JSON/);
});

test('a patch is no larger than the image', () => {
  expect(read('image encoder', 'patch_size', '225')).toThrow(
    'patch_size should be at most the size of the image (224)',
  );
});
