/**
 * T5, the encoder-decoder language model of BLIP-2 and InstructBLIP with Flan-T5 (https://arxiv.org/abs/1910.10683,
 * https://arxiv.org/abs/2210.11416; transformers modeling_t5.py). Pre-norm with RMSNorm, relative positions, no biases, scores not divided
 * by the square root of the head size. Image tokens stand before the text in the encoder's input.
 *
 * Three graphs: the encoder reads a prompt, `cross_kv` makes of it the keys and values that every decoder layer looks at, once per prompt,
 * and the decoder writes one token of each row.
 *
 * B rows, T positions of the longest prompt, C positions of the decoder's cache, M positions of the encoder's, H heads of size Dk, d hidden
 * size, F feed-forward size, V vocabulary rows.
 */
import type { ObjectReader } from '../../pack/object-reader.ts';
import { required } from '../../required.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import {
  add,
  erfGelu,
  linearWithoutBias,
  multiply,
  relu,
  reshape,
  rmsNorm,
  silu,
  split,
  tanhGelu,
  transpose,
} from '../graph/operators.ts';
import { biasByDistance, encoderBias, stepBias } from '../graph/relative-bias.ts';
import { attentionWithNewKey, unscaledAttention } from '../graph/unscaled-attention.ts';
import { ONNX_TYPES, type Value } from '../graph/value.ts';
import { concatRows, rowsOf, type Weight } from '../read/weight.ts';
import type { WeightCursor } from '../read/weights.ts';
import { count, normEpsilon, flag, integer, MOST } from './config-keys.ts';
import { HEAD_NAME, TIED_HEAD, type BuildableArchitecture } from './language-architecture.ts';

/** Activations of the feed-forward part, by the names that configs have for them. */
const ACTIVATIONS = { gelu: erfGelu, gelu_new: tanhGelu, relu, silu } as const;
type Activation = keyof typeof ACTIVATIONS;
const ACTIVATION_NAMES = Object.keys(ACTIVATIONS) as Activation[];

/** T5 has no limit by construction; it was trained on so many positions. */
const MAX_POSITIONS = 512;

export const T5: BuildableArchitecture<T5Config> = {
  name: 't5',
  modelTypes: ['t5'],
  names: [{ pattern: /^(shared|encoder|decoder)\./, name: 'language_model.$1.' }, HEAD_NAME],
  leftOver: [
    TIED_HEAD,
    {
      pattern: /^language_model\.(encoder|decoder)\.embed_tokens\.weight$/,
      unneeded: 'a copy of the shared token embeddings',
    },
  ],
  defaultEosTokenIds: [1],
  readConfig: readT5Config,
  declare: ({ dModel, numDecoderLayers, numHeads, dKv, decoderStartTokenId }) => ({
    kind: 'encoder-decoder',
    hiddenSize: dModel,
    numHiddenLayers: numDecoderLayers,
    numAttentionHeads: numHeads,
    numKeyValueHeads: numHeads,
    headDim: dKv,
    maxPositionEmbeddings: MAX_POSITIONS,
    decoderStartTokenId,
  }),
  /** Of encoder and decoder alike. */
  tokenEmbeddings: 'shared.weight',
  buildGraphs(newGraph, weights, config, tokenEmbeddings) {
    buildEncoder(newGraph('encoder'), weights, config);
    buildCrossKv(newGraph('cross_kv'), weights, config);
    buildDecoder(newGraph('decoder'), weights, config, tokenEmbeddings);
  },
};

type T5Config = {
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
  denseActFn: Activation;
  /** Whether the feed-forward part is `act(wi_0·x) * (wi_1·x)`. */
  isGated: boolean;
  tieWordEmbeddings: boolean;
  /** Whether logits are scaled by dModel^-0.5; undefined where the config leaves it to whether the head is tied. */
  scaleDecoderOutputs: boolean | undefined;
  decoderStartTokenId: number;
};

/**
 * The sizes of a T5 from its config.json, with the defaults of transformers' T5Config. The tensors know the height of the vocabulary.
 *
 * @throws the reader's error when a key is mistyped, or asks for a variant of the architecture that is not built.
 */
function readT5Config(config: ObjectReader): T5Config {
  const numLayers = count(config, 'num_layers', MOST.layers, 6);
  const { denseActFn, isGated } = readFeedForward(config);
  return {
    dModel: count(config, 'd_model', MOST.features, 512),
    dKv: count(config, 'd_kv', MOST.features, 64),
    dFf: count(config, 'd_ff', MOST.features, 2048),
    numLayers,
    numDecoderLayers: count(config, 'num_decoder_layers', MOST.layers, numLayers),
    numHeads: count(config, 'num_heads', MOST.heads, 8),
    ...readBuckets(config),
    layerNormEpsilon: normEpsilon(config, 'layer_norm_epsilon', 1e-6),
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
function readFeedForward(config: ObjectReader): { denseActFn: Activation; isGated: boolean } {
  const words = ACTIVATION_NAMES.flatMap((name) => [name, `gated-${name}`] as const);
  const word = config.has('feed_forward_proj') ? config.oneOf('feed_forward_proj', words) : 'relu';
  const named = ACTIVATION_NAMES.find((name) => word.endsWith(name));
  const ofWord = word === 'gated-gelu' ? 'gelu_new' : required(named, 'an activation for each word');
  return {
    denseActFn: config.has('dense_act_fn') ? config.oneOf('dense_act_fn', ACTIVATION_NAMES) : ofWord,
    isGated: flag(config, 'is_gated_act', word.startsWith('gated-')),
  };
}

/** Half of the buckets stand for one distance each, in the encoder on either side; the others need distances beyond those. */
function readBuckets(
  config: ObjectReader,
): Pick<T5Config, 'relativeAttentionNumBuckets' | 'relativeAttentionMaxDistance'> {
  const numBuckets = count(config, 'relative_attention_num_buckets', MOST.buckets, 32);
  const maxDistance = count(config, 'relative_attention_max_distance', MOST.positions, 128);
  if (numBuckets < 4 || numBuckets % 2 !== 0) {
    config.fail('relative_attention_num_buckets', 'an even number of at least 4');
  }
  if (maxDistance <= numBuckets / 2) {
    config.fail('relative_attention_max_distance', `more than half of relative_attention_num_buckets (${numBuckets})`);
  }
  return { relativeAttentionNumBuckets: numBuckets, relativeAttentionMaxDistance: maxDistance };
}

/**
 * Builds `encoder`: inputs_embeds and attention_mask (1, or 0 for padding on the right) -> last_hidden_state. Padding changes no other row
 * and no other position; what stands at padded positions means nothing.
 *
 * @param weights cursor at the language model (`language_model`)
 */
function buildEncoder(g: GraphBuilder, weights: WeightCursor, config: T5Config): void {
  const { dModel: d, numLayers, numHeads: H, layerNormEpsilon } = config;
  const encoder = weights.at('encoder');
  const inputsEmbeds = g.input('inputs_embeds', 'float', ['B', 'T', d]); // [B, T, d]
  const attentionMask = g.input('attention_mask', 'int64', ['B', 'T']); // [B, T]
  const keyMask = g.node1('Cast', [attentionMask], { type: 'int32', shape: ['B', 'T'] }, { to: ONNX_TYPES.int32 }); // [B, T]
  const maxDistance = config.relativeAttentionMaxDistance;
  const bias = encoderBias(g, takeBias(encoder, config, true), inputsEmbeds, maxDistance); // [1, H, T, T]

  let hidden = inputsEmbeds; // [B, T, d]
  for (let n = 0; n < numLayers; n++) {
    const attention = encoder.at(`block.${n}.layer.0`);
    const normalized = rmsNorm(g, hidden, attention.take('layer_norm.weight', [d]), layerNormEpsilon); // [B, T, d]
    const { query, key, value } = projectQkv(g, attention.at('SelfAttention'), normalized, config); // [B, T, H·Dk]
    const attended = unscaledAttention(g, { query, key, value, keyMask, bias }, H); // [B, T, H·Dk]
    hidden = add(g, hidden, projectOut(g, attention.at('SelfAttention'), attended, config)); // [B, T, d]
    hidden = add(g, hidden, feedForward(g, encoder.at(`block.${n}.layer.1`), hidden, config)); // [B, T, d]
  }
  const finalNorm = encoder.take('final_layer_norm.weight', [d]);
  g.output('last_hidden_state', rmsNorm(g, hidden, finalNorm, layerNormEpsilon)); // [B, T, d]
}

/** Builds `cross_kv`: encoder_hidden_states -> present.N.encoder.{key,value} [B, H, T, Dk] of every decoder layer. */
function buildCrossKv(g: GraphBuilder, weights: WeightCursor, config: T5Config): void {
  const { dModel: d, numDecoderLayers, numHeads: H, dKv: Dk } = config;
  const encoderHiddenStates = g.input('encoder_hidden_states', 'float', ['B', 'T', d]); // [B, T, d]
  for (let n = 0; n < numDecoderLayers; n++) {
    const attention = weights.at(`decoder.block.${n}.layer.1.EncDecAttention`);
    for (const [part, letter] of [
      ['key', 'k'],
      ['value', 'v'],
    ] as const) {
      const projection = attention.take(`${letter}.weight`, [H * Dk, d]);
      const projected = linearWithoutBias(g, encoderHiddenStates, projection); // [B, T, H·Dk]
      const byPosition = reshape(g, projected, [0, 0, H, Dk], ['B', 'T', H, Dk]); // [B, T, H, Dk]
      g.output(`present.${n}.encoder.${part}`, transpose(g, byPosition, [0, 2, 1, 3])); // [B, H, T, Dk]
    }
  }
}

/**
 * Builds `decoder`: one token of each row, and what is known of the row -> logits [B, V], and the token's keys and values.
 *
 * `position_ids` are the positions of the tokens, which is also how many of past_key_values.N.decoder.* [B, H, C, Dk] are the row's;
 * `encoder_lengths` says the same of past_key_values.N.encoder.* [B, H, M, Dk]. What lies behind is masked, but must be numbers. The results
 * present.N.decoder.* [B, H, 1, Dk] are the new position's alone, to be written into the cache by its owner.
 *
 * @param tokenEmbeddings serve as the output head where the checkpoint has none and the config ties them
 */
function buildDecoder(g: GraphBuilder, weights: WeightCursor, config: T5Config, tokenEmbeddings: Weight): void {
  const { dModel: d, dKv: Dk, numDecoderLayers, numHeads: H, layerNormEpsilon } = config;
  const decoder = weights.at('decoder');
  const inputsEmbeds = g.input('inputs_embeds', 'float', ['B', 1, d]); // [B, 1, d]
  const positionIds = g.input('position_ids', 'int64', ['B', 1]); // [B, 1]
  const encoderLengths = g.input('encoder_lengths', 'int32', ['B']); // [B]
  const pastOf = (layer: number, side: string, size: string): { pastKey: Value; pastValue: Value } => ({
    pastKey: g.input(`past_key_values.${layer}.${side}.key`, 'float', ['B', H, size, Dk]), // [B, H, size, Dk]
    pastValue: g.input(`past_key_values.${layer}.${side}.value`, 'float', ['B', H, size, Dk]), // [B, H, size, Dk]
  });
  const table = takeBias(decoder, config, false);
  let bias: Value | undefined;

  let hidden = inputsEmbeds; // [B, 1, d]
  for (let n = 0; n < numDecoderLayers; n++) {
    const [self, cross] = [decoder.at(`block.${n}.layer.0`), decoder.at(`block.${n}.layer.1`)];
    const past = pastOf(n, 'decoder', 'C');
    bias ??= stepBias(g, table, positionIds, past.pastKey, config.relativeAttentionMaxDistance); // [B, H, 1, C + 1]
    const normalized = rmsNorm(g, hidden, self.take('layer_norm.weight', [d]), layerNormEpsilon); // [B, 1, d]
    const qkv = projectQkv(g, self.at('SelfAttention'), normalized, config); // [B, 1, H·Dk]
    const { attended, key, value } = attentionWithNewKey(g, { ...qkv, ...past, bias }); // [B, 1, H·Dk]
    g.output(`present.${n}.decoder.key`, key); // [B, H, 1, Dk]
    g.output(`present.${n}.decoder.value`, value); // [B, H, 1, Dk]
    hidden = add(g, hidden, projectOut(g, self.at('SelfAttention'), attended, config)); // [B, 1, d]

    const crossNormalized = rmsNorm(g, hidden, cross.take('layer_norm.weight', [d]), layerNormEpsilon); // [B, 1, d]
    const query = linearWithoutBias(g, crossNormalized, cross.take('EncDecAttention.q.weight', [H * Dk, d])); // [B, 1, H·Dk]
    const { pastKey, pastValue } = pastOf(n, 'encoder', 'M');
    const seen = { query, key: pastKey, value: pastValue, keyMask: encoderLengths };
    const looked = unscaledAttention(g, seen, H); // [B, 1, H·Dk]
    hidden = add(g, hidden, projectOut(g, cross.at('EncDecAttention'), looked, config)); // [B, 1, d]
    hidden = add(g, hidden, feedForward(g, decoder.at(`block.${n}.layer.2`), hidden, config)); // [B, 1, d]
  }
  const normalized = rmsNorm(g, hidden, decoder.take('final_layer_norm.weight', [d]), layerNormEpsilon); // [B, 1, d]
  const last = reshape(g, normalized, [-1, d], ['B', d]); // [B, d]
  g.output('logits', project(g, last, weights, config, tokenEmbeddings)); // [B, V]
}

/** The learned bias of a stack. It stands in the first block alone, and all blocks share it. */
function takeBias(stack: WeightCursor, config: T5Config, isBidirectional: boolean): Weight {
  const { relativeAttentionNumBuckets: numBuckets, relativeAttentionMaxDistance: maxDistance, numHeads: H } = config;
  const learned = stack.take('block.0.layer.0.SelfAttention.relative_attention_bias.weight', [numBuckets, H]);
  return biasByDistance(learned, { numBuckets, maxDistance, isBidirectional });
}

function projectQkv(
  g: GraphBuilder,
  weights: WeightCursor,
  x: Value,
  { dModel: d, dKv: Dk, numHeads: H }: T5Config,
): { query: Value; key: Value; value: Value } {
  const take = (name: string): Weight => weights.take(name, [H * Dk, d]);
  const qkv = linearWithoutBias(g, x, concatRows(take('q.weight'), take('k.weight'), take('v.weight'))); // [B, S, 3·H·Dk]
  const [query, key, value] = split(g, qkv, 3); // [B, S, H·Dk]
  return { query, key, value };
}

function projectOut(g: GraphBuilder, weights: WeightCursor, attended: Value, config: T5Config): Value {
  const { dModel: d, dKv: Dk, numHeads: H } = config;
  return linearWithoutBias(g, attended, weights.take('o.weight', [d, H * Dk]));
}

/** `wo(act(wi_0·x) * (wi_1·x))` of the normalised input, or `wo(act(wi·x))` without a gate. */
function feedForward(g: GraphBuilder, weights: WeightCursor, hidden: Value, config: T5Config): Value {
  const { dModel: d, dFf: F, layerNormEpsilon, denseActFn, isGated } = config;
  const activation = ACTIVATIONS[denseActFn];
  const dense = weights.at('DenseReluDense');
  const x = rmsNorm(g, hidden, weights.take('layer_norm.weight', [d]), layerNormEpsilon); // [B, S, d]
  let inner: Value; // [B, S, F]
  if (isGated) {
    const gate = activation(g, linearWithoutBias(g, x, dense.take('wi_0.weight', [F, d]))); // [B, S, F]
    inner = multiply(g, gate, linearWithoutBias(g, x, dense.take('wi_1.weight', [F, d]))); // [B, S, F]
  } else {
    inner = activation(g, linearWithoutBias(g, x, dense.take('wi.weight', [F, d]))); // [B, S, F]
  }
  return linearWithoutBias(g, inner, dense.take('wo.weight', [d, F])); // [B, S, d]
}

/**
 * The output head: one of its own for Flan-T5, or the token embeddings for the first T5, whose logits are then scaled by d^-0.5. A config of
 * transformers 5 calls every head tied and says apart whether it scales.
 */
function project(
  g: GraphBuilder,
  x: Value,
  weights: WeightCursor,
  { dModel: d, tieWordEmbeddings, scaleDecoderOutputs }: T5Config,
  tokenEmbeddings: Weight,
): Value {
  const isTied = tieWordEmbeddings && !weights.has('lm_head.weight');
  const head = isTied ? tokenEmbeddings : weights.take('lm_head.weight', [rowsOf(tokenEmbeddings), d]);
  const isScaled = scaleDecoderOutputs ?? isTied;
  const scaled = isScaled ? g.node1('Mul', [x, g.scalar(d ** -0.5)], { type: 'float', shape: x.shape }) : x; // [B, d]
  return linearWithoutBias(g, scaled, head); // [B, V]
}
