/** What adapter_config.json says of the layers of an adapter, and what is refused by its name. */
import { describe, expect, test } from 'vitest';
import { CheckpointError } from '../../../src/errors.ts';
import { readLoraConfig, type LoraAdapterConfig } from '../../../src/importer/adapters/lora-config.ts';
import { ObjectReader } from '../../../src/pack/object-reader.ts';

const MODULES = [
  'language_model.model.decoder.layers.0.self_attn.q_proj',
  'language_model.model.decoder.layers.1.self_attn.q_proj',
  'language_model.model.decoder.layers.1.self_attn.v_proj',
  'language_model.model.decoder.layers.12.fc1',
];
const [Q0 = '', Q1 = '', V1 = '', FC1 = ''] = MODULES;

function read(config: object): LoraAdapterConfig {
  const text = JSON.stringify({ peft_type: 'LORA', r: 8, lora_alpha: 16, ...config });
  const reader = ObjectReader.parse(text, 'adapter_config.json', (file, message) => new CheckpointError(file, message));
  return readLoraConfig(reader, 'adapter');
}

const targets = (config: object) => [...read(config).targetsAmong(MODULES)];
const scales = (config: object) =>
  [...read(config).changesOf(MODULES).values()].map(({ rank, scale }) => [rank, scale] as const);

describe('target_modules', () => {
  test.each<[string, object, string[]]>([
    ['a list of endings', { target_modules: ['q_proj'] }, [Q0, Q1]],
    ['endings of several names', { target_modules: ['1.self_attn.q_proj', 'fc1'] }, [Q1, FC1]],
    ['a part of a name is no ending', { target_modules: ['proj', 'c1'] }, []],
    ['a regular expression of the whole name', { target_modules: String.raw`.*\.(q|v)_proj` }, [Q0, Q1, V1]],
    ['one that matches a part only', { target_modules: 'q_proj' }, []],
    ["Python's named groups", { target_modules: String.raw`.*layers\.(?P<n>1)\..*` }, [Q1, V1]],
    ['all-linear', { target_modules: 'all-linear' }, MODULES],
    ['none, as PEFT leaves them to its own list', {}, MODULES],
    [
      'less those that are excluded by endings',
      { target_modules: ['q_proj'], exclude_modules: ['0.self_attn.q_proj'] },
      [Q1],
    ],
    ['less those that an expression excludes', { exclude_modules: String.raw`.*\.1\..*` }, [Q0, FC1]],
    ['in one layer', { target_modules: ['q_proj', 'fc1'], layers_to_transform: 0 }, [Q0]],
    ['in several layers', { target_modules: ['q_proj', 'fc1'], layers_to_transform: [1, 12] }, [Q1, FC1]],
    [
      'in layers of another name',
      { target_modules: ['q_proj'], layers_to_transform: [1], layers_pattern: 'blocks' },
      [],
    ],
    [
      'in layers of a name among several',
      { target_modules: ['q_proj'], layers_to_transform: [1], layers_pattern: ['h', 'decoder.layers'] },
      [Q1],
    ],
  ])('%s', (_, config, expected) => {
    expect(targets(config)).toEqual(expected);
  });
});

describe('the scale of a layer', () => {
  test('is alpha over the rank', () => {
    expect(scales({})).toEqual(MODULES.map(() => [8, 2]));
  });

  test('is alpha over the root of the rank where it is stabilised', () => {
    expect(scales({ r: 16, use_rslora: true })).toEqual(MODULES.map(() => [16, 4]));
  });

  test("has PEFT's defaults where the config leaves them out", () => {
    expect(scales({ r: undefined, lora_alpha: undefined })).toEqual(MODULES.map(() => [8, 1]));
  });

  test('follows the first pattern of each kind that matches the end of a name', () => {
    const patterns = {
      rank_pattern: { '1.self_attn.q_proj': 4, q_proj: 2 },
      alpha_pattern: { [String.raw`.*layers\.\d\.self_attn\.[qv]_proj`]: 10 },
    };
    expect(scales(patterns)).toEqual([
      [2, 5],
      [4, 2.5],
      [8, 1.25],
      [8, 2],
    ]);
  });

  test('follows a pattern that is bound to the beginning', () => {
    const [first] = scales({ rank_pattern: { [String.raw`^language_model\..*0.*q_proj`]: 1, '^model.*': 3 } });
    expect(first).toEqual([1, 16]);
  });
});

describe('refused is', () => {
  test.each<[string, object, RegExp]>([
    ['another kind of adapter', { peft_type: 'IA3' }, /adapter of the kind IA3\. Only LORA.*merge_and_unload/],
    ['DoRA', { use_dora: true }, /use_dora asks for DoRA.*cannot be merged here.*merge_and_unload/],
    ['QA-LoRA', { use_qalora: true }, /use_qalora asks for QA-LoRA/],
    [
      'repeated layers',
      { layer_replication: [[0, 4]] },
      /layer_replication asks for layers that are used several times/,
    ],
    ['single tokens', { trainable_token_indices: { embed_tokens: [1] } }, /trainable_token_indices/],
    [
      'a base that the training changed',
      { init_lora_weights: 'pissa_niter_4' },
      /init_lora_weights asks for "pissa_niter_4"/,
    ],
    ['a rank of nothing', { r: 0 }, /r should be a whole number from 1 to 65536 but is 0/],
    ['half a rank', { r: 1.5 }, /r should be a whole number/],
    ['a rank without end', { r: 1e9 }, /r should be a whole number from 1 to 65536/],
    ['a rank of nothing for some layers', { rank_pattern: { q_proj: 0 } }, /rank_pattern\.q_proj should be/],
    ['an alpha without end', { lora_alpha: 1e300 }, /lora_alpha should be a number of at most 1000000/],
    ['an alpha that is no number', { lora_alpha: '16' }, /lora_alpha should be a number/],
  ])('%s', (_, config, message) => {
    expect(() => read(config)).toThrow(message);
  });

  test('what means nothing of it is not: null, false and empty', () => {
    const none = {
      use_dora: false,
      layer_replication: null,
      target_parameters: [],
      arrow_config: {},
      loftq_config: {},
    };
    expect(targets({ ...none, init_lora_weights: 'gaussian', target_modules: ['fc1'] })).toEqual([FC1]);
    expect(targets({ init_lora_weights: false, target_modules: ['fc1'] })).toEqual([FC1]);
  });

  test.each([
    ['that no one can read', '(q_proj'],
    ['that would run for ever', String.raw`((((((language|l|\w)+)+)+)+)+)+!`],
  ])('a regular expression %s', (_, pattern) => {
    expect(() => targets({ target_modules: pattern })).toThrow(
      /adapter_config\.json, target_modules: the regular expression ".*" cannot be read, or runs for too long/,
    );
  });
});
