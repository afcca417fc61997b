/** What the golden checkpoint does not have: a tied head, a feed-forward part without a gate, a vocabulary that files repeat. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CheckpointError } from '../../../src/errors.ts';
import { EncoderDecoder } from '../../../src/language/encoder-decoder.ts';
import { writeT5Pack, type T5Config } from '../../language/t5-pack.ts';
import { largestDifference, openWeights } from '../../vision/tiny-pack.ts';
import { bellShaped } from '../graph/stored-graph.ts';
import { writeSafetensors, type TestTensor } from '../write-safetensors.ts';

const CONFIG: T5Config = {
  dModel: 16,
  dKv: 8,
  dFf: 24,
  numLayers: 1,
  numDecoderLayers: 1,
  numHeads: 3,
  relativeAttentionNumBuckets: 8,
  relativeAttentionMaxDistance: 12,
  layerNormEpsilon: 1e-6,
  denseActFn: 'gelu',
  isGated: true,
  tieWordEmbeddings: true,
  scaleDecoderOutputs: undefined,
  decoderStartTokenId: 0,
};
const VOCABULARY = 20;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-t5-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** All tensors of such a model, without an output head. */
function tensorsOf({ dModel, dKv, dFf, numHeads, relativeAttentionNumBuckets, isGated }: T5Config) {
  const inner = numHeads * dKv;
  const shapes: Record<string, number[]> = { 'shared.weight': [VOCABULARY, dModel] };
  for (const stack of ['encoder', 'decoder']) {
    const block = `${stack}.block.0.layer`;
    const attentions = stack === 'encoder' ? ['0.SelfAttention'] : ['0.SelfAttention', '1.EncDecAttention'];
    for (const attention of attentions) {
      for (const part of ['q', 'k', 'v']) shapes[`${block}.${attention}.${part}.weight`] = [inner, dModel];
      shapes[`${block}.${attention}.o.weight`] = [dModel, inner];
    }
    shapes[`${block}.0.SelfAttention.relative_attention_bias.weight`] = [relativeAttentionNumBuckets, numHeads];
    const dense = `${block}.${attentions.length}`;
    for (const part of isGated ? ['wi_0', 'wi_1'] : ['wi'])
      shapes[`${dense}.DenseReluDense.${part}.weight`] = [dFf, dModel];
    shapes[`${dense}.DenseReluDense.wo.weight`] = [dModel, dFf];
    for (let layer = 0; layer <= attentions.length; layer++) shapes[`${block}.${layer}.layer_norm.weight`] = [dModel];
    shapes[`${stack}.final_layer_norm.weight`] = [dModel];
  }
  const tensors: Record<string, TestTensor> = {};
  Object.entries(shapes).forEach(([name, shape], seed) => {
    const count = shape.reduce((product, size) => product * size, 1);
    tensors[`language_model.${name}`] = { shape, values: bellShaped(count, seed).map((value) => value / 2) };
  });
  return tensors;
}

async function build(tensors: Record<string, TestTensor>, config: T5Config) {
  const path = join(folder, 'model.safetensors');
  await writeSafetensors(path, tensors);
  return writeT5Pack(await openWeights([path], [{ pattern: /^language_model\./, name: 'language_model.' }]), config);
}

/** Logits of the first two tokens after a prompt of three. */
async function logitsOf(tensors: Record<string, TestTensor>, config: T5Config): Promise<Float32Array> {
  const { directory, language } = await build(tensors, config);
  const model = await EncoderDecoder.load(directory, language, { threads: 1 });
  const cache = model.newCache(1, 4);
  const { logits: first } = await model.prefill(cache, 0, [{ embeds: await model.embedTokens([4, 9, 1]), length: 3 }]);
  const second = await model.step(cache, [7], [1]);
  await model.dispose();
  await rm(directory, { recursive: true });
  return Float32Array.from([...first, ...second]);
}

/** With an output head: the token embeddings, multiplied. */
function withHead(tensors: Record<string, TestTensor>, factor: number): Record<string, TestTensor> {
  const shared = tensors['language_model.shared.weight'];
  if (shared === undefined) throw new Error('the token embeddings are missing');
  const values = shared.values.map((value) => value * factor);
  return { ...tensors, 'language_model.lm_head.weight': { ...shared, values } };
}

describe('without an output head', () => {
  test('the token embeddings serve as the head, and their logits are scaled by the root of the hidden size', async () => {
    const tensors = tensorsOf(CONFIG);
    const tied = await logitsOf(tensors, CONFIG);
    const untied = await logitsOf(withHead(tensors, 16 ** -0.5), CONFIG);
    expect(largestDifference(tied, untied)).toBeLessThan(1e-5);
    expect(Math.max(...tied)).toBeGreaterThan(0.1);
  });

  test('a config that says so leaves the logits as they are', async () => {
    const tensors = tensorsOf(CONFIG);
    const unscaled = await logitsOf(tensors, { ...CONFIG, scaleDecoderOutputs: false });
    expect(largestDifference(unscaled, await logitsOf(withHead(tensors, 1), CONFIG))).toBeLessThan(1e-5);
  });

  test('a config that does not tie it makes the checkpoint incomplete', async () => {
    const building = build(tensorsOf(CONFIG), { ...CONFIG, tieWordEmbeddings: false });
    await expect(building).rejects.toThrow(CheckpointError);
    await expect(building).rejects.toThrow('language_model.lm_head.weight is missing');
  });
});

describe('the feed-forward part', () => {
  test('without a gate grows with its input, not with its square', async () => {
    const config = { ...CONFIG, isGated: false, denseActFn: 'relu' } as const;
    const tensors = tensorsOf(config);
    const rescaled = Object.entries(tensors).map(([name, { shape, values }]) => {
      const factor = name.includes('.wi.') ? 4 : name.includes('.wo.') ? 1 / 4 : 1;
      return [name, { shape, values: values.map((value) => value * factor) }] as const;
    });
    const [logits, same] = [await logitsOf(tensors, config), await logitsOf(Object.fromEntries(rescaled), config)];
    expect(largestDifference(logits, same)).toBeLessThan(1e-5);
  });

  test('differs with its activation', async () => {
    const tensors = tensorsOf(CONFIG);
    const logits = [];
    for (const denseActFn of ['gelu', 'gelu_new', 'relu', 'silu'] as const)
      logits.push(await logitsOf(tensors, { ...CONFIG, denseActFn }));
    const [erf = new Float32Array(), tanh = new Float32Array(), ...others] = logits;
    // The two forms of GELU are told apart, but only just.
    expect(largestDifference(erf, tanh)).toBeGreaterThan(1e-5);
    expect(largestDifference(erf, tanh)).toBeLessThan(0.05);
    for (const other of others) expect(largestDifference(erf, other)).toBeGreaterThan(0.01);
  });
});

test('the copies of the vocabulary that older files have are left over, and everything else is used', async () => {
  const tensors = tensorsOf(CONFIG);
  const shared = tensors['language_model.shared.weight'];
  if (shared === undefined) throw new Error('the token embeddings are missing');
  const copies = ['encoder', 'decoder'].map((stack) => `language_model.${stack}.embed_tokens.weight`);
  const { directory, leftOver } = await build(
    { ...tensors, ...Object.fromEntries(copies.map((name) => [name, shared])) },
    CONFIG,
  );
  expect(leftOver).toEqual(copies);
  await rm(directory, { recursive: true });
});
