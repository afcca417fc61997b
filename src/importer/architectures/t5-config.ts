/**
 * The sizes of a T5 (spec 4.2) from its config.json, with the defaults of transformers' T5Config. The tensors know the height of the
 * vocabulary.
 */
import type { ObjectReader } from '../../pack/object-reader.ts';
import { flag, integer, number } from './config-keys.ts';

/** Activations of the feed-forward part: GELU by the error function, its tanh form, ReLU and SiLU. */
const ACTIVATIONS = ['gelu', 'gelu_new', 'relu', 'silu'] as const;
export type T5Activation = (typeof ACTIVATIONS)[number];

export type T5Config = {
  dModel: number;
  /** Size of a head, which is not bound to dModel: xl has 32 heads of 64 in 2048, but t5-11b 128 heads of 128 in 1024. */
  dKv: number;
  dFf: number;
  numLayers: number;
  numDecoderLayers: number;
  numHeads: number;
  relativeAttentionNumBuckets: number;
  relativeAttentionMaxDistance: number;
  layerNormEpsilon: number;
  denseActFn: T5Activation;
  /** Whether the feed-forward part is `act(wi_0·x) * (wi_1·x)`. */
  isGated: boolean;
  tieWordEmbeddings: boolean;
  /** Whether logits are scaled by dModel^-0.5; undefined where the config leaves it to whether the head is tied. */
  scaleDecoderOutputs: boolean | undefined;
  decoderStartTokenId: number;
};

/** @throws the reader's error when a key is mistyped, or asks for a variant of the architecture that is not built. */
export function readT5Config(config: ObjectReader): T5Config {
  const numLayers = integer(config, 'num_layers', 6);
  const { denseActFn, isGated } = readFeedForward(config);
  return {
    dModel: integer(config, 'd_model', 512),
    dKv: integer(config, 'd_kv', 64),
    dFf: integer(config, 'd_ff', 2048),
    numLayers,
    numDecoderLayers: integer(config, 'num_decoder_layers', numLayers),
    numHeads: integer(config, 'num_heads', 8),
    ...readBuckets(config),
    layerNormEpsilon: number(config, 'layer_norm_epsilon', 1e-6),
    denseActFn,
    isGated,
    tieWordEmbeddings: flag(config, 'tie_word_embeddings', true),
    scaleDecoderOutputs: config.has('scale_decoder_outputs') ? config.boolean('scale_decoder_outputs') : undefined,
    decoderStartTokenId: integer(config, 'decoder_start_token_id', integer(config, 'pad_token_id', 0)),
  };
}

/**
 * `feed_forward_proj` names gate and activation in one word, in which "gated-gelu" means the tanh form. `dense_act_fn` and `is_gated_act` say
 * it apart, and win where they are there: BLIP-2 was trained with GELU proper, beside a "gated-gelu" left over from Flan-T5.
 */
function readFeedForward(config: ObjectReader): { denseActFn: T5Activation; isGated: boolean } {
  const words = ACTIVATIONS.flatMap((name) => [name, `gated-${name}`] as const);
  const word = config.has('feed_forward_proj') ? config.oneOf('feed_forward_proj', words) : 'relu';
  const named = word === 'gated-gelu' ? 'gelu_new' : ACTIVATIONS.find((name) => word.endsWith(name));
  return {
    denseActFn: config.has('dense_act_fn') ? config.oneOf('dense_act_fn', ACTIVATIONS) : (named ?? 'relu'),
    isGated: flag(config, 'is_gated_act', word.startsWith('gated-')),
  };
}

/** Half of the buckets stand for one distance each, in the encoder on either side; the others need distances beyond those. */
function readBuckets(
  config: ObjectReader,
): Pick<T5Config, 'relativeAttentionNumBuckets' | 'relativeAttentionMaxDistance'> {
  const numBuckets = integer(config, 'relative_attention_num_buckets', 32);
  const maxDistance = integer(config, 'relative_attention_max_distance', 128);
  if (numBuckets < 4 || numBuckets % 2 !== 0) {
    config.fail('relative_attention_num_buckets', 'an even number of at least 4');
  }
  if (maxDistance <= numBuckets / 2) {
    config.fail('relative_attention_max_distance', `more than half of relative_attention_num_buckets (${numBuckets})`);
  }
  return { relativeAttentionNumBuckets: numBuckets, relativeAttentionMaxDistance: maxDistance };
}
