import { describe, expect, test } from 'vitest';
import { T5 } from '../../../src/importer/architectures/t5.ts';
import { ObjectReader } from '../../../src/pack/object-reader.ts';

const read = (config: Record<string, unknown>) =>
  T5.readConfig(ObjectReader.parse(JSON.stringify(config), 'config.json'));

test('what a config leaves out has the defaults of the class that wrote it', () => {
  expect(read({})).toEqual({
    dModel: 512,
    dKv: 64,
    dFf: 2048,
    numLayers: 6,
    numDecoderLayers: 6,
    numHeads: 8,
    relativeAttentionNumBuckets: 32,
    relativeAttentionMaxDistance: 128,
    layerNormEpsilon: 1e-6,
    denseActFn: 'relu',
    isGated: false,
    tieWordEmbeddings: true,
    scaleDecoderOutputs: undefined,
    decoderStartTokenId: 0,
  });
});

test('the decoder has as many layers as the encoder, and starts with the padding token, unless it is said', () => {
  expect(read({ num_layers: 24, pad_token_id: 3 })).toMatchObject({ numDecoderLayers: 24, decoderStartTokenId: 3 });
  const own = { num_layers: 24, num_decoder_layers: 12, pad_token_id: 3, decoder_start_token_id: 5 };
  expect(read(own)).toMatchObject({ numDecoderLayers: 12, decoderStartTokenId: 5 });
});

describe('the feed-forward part', () => {
  test.each([
    ['relu', 'relu', false],
    ['gelu', 'gelu', false],
    ['gated-silu', 'silu', true],
    ['gated-gelu', 'gelu_new', true],
    ['gated-gelu_new', 'gelu_new', true],
  ])('"%s" is %s, gated: %s', (word, denseActFn, isGated) => {
    expect(read({ feed_forward_proj: word })).toMatchObject({ denseActFn, isGated });
  });

  test('is what dense_act_fn and is_gated_act say where they are there, as in BLIP-2 beside "gated-gelu"', () => {
    const blip2 = { feed_forward_proj: 'gated-gelu', dense_act_fn: 'gelu' };
    expect(read(blip2)).toMatchObject({ denseActFn: 'gelu', isGated: true });
    expect(read({ ...blip2, is_gated_act: false })).toMatchObject({ denseActFn: 'gelu', isGated: false });
  });
});

describe('a variant that is not built is refused, naming the key:', () => {
  test.each([
    [{ dense_act_fn: 'swish' }, 'dense_act_fn'],
    [{ feed_forward_proj: 'gated-tanh' }, 'feed_forward_proj'],
    [{ feed_forward_proj: 'twice-gated-gelu' }, 'feed_forward_proj'],
    [{ relative_attention_num_buckets: 2 }, 'relative_attention_num_buckets'],
    [{ relative_attention_num_buckets: 31 }, 'relative_attention_num_buckets'],
    [{ relative_attention_max_distance: 16 }, 'relative_attention_max_distance'],
  ])('%j', (config, key) => {
    expect(() => read(config)).toThrow(key);
  });
});
