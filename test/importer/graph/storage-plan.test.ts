/** What is stored how: the table of storage-plan.ts. */
import { expect, test } from 'vitest';
import { storageOf, type WeightUse } from '../../../src/importer/graph/storage-plan.ts';
import { computedWeight, type Weight } from '../../../src/importer/read/weight.ts';
import { PRECISIONS, type Precision } from '../../../src/pack/model-declaration.ts';
import { trainedWeight } from './stored-graph.ts';

const matrix = (name: string): Weight => trainedWeight(name, [8, 4], new Float32Array(32));
const half = (weight: Weight): Weight => ({ ...weight, dtype: 'F16' });

test.each<[name: string, use: WeightUse, graph: string, int8: string, int4: string]>([
  ['vision_model.encoder.layers.0.mlp.fc1.weight', 'matrix', 'vision_encoder', 'int8', 'int8'],
  ['language_projection.weight', 'matrix', 'qformer', 'int8', 'int8'],
  ['vision_model.embeddings.patch_embedding.weight', 'values', 'vision_encoder', 'fp16', 'fp16'],
  ['language_model.model.decoder.embed_tokens.weight', 'values', 'embed_tokens', 'fp16', 'fp16'],
  ['language_model.model.decoder.embed_positions.weight', 'values', 'decoder', 'fp16', 'fp16'],
  ['language_model.model.decoder.layers.0.fc1.weight', 'matrix', 'decoder', 'int8', 'int4'],
  ['language_model.encoder.block.0.layer.0.SelfAttention.q.weight', 'matrix', 'encoder', 'int8', 'int4'],
  ['language_model.decoder.block.0.layer.1.EncDecAttention.k.weight', 'matrix', 'cross_kv', 'int8', 'int4'],
  ['language_model.encoder.block.0.layer.1.DenseReluDense.wi_0.weight', 'matrix', 'encoder', 'int8', 'int4'],
  ['language_model.encoder.block.0.layer.1.DenseReluDense.wo.weight', 'matrix', 'encoder', 'fp16', 'fp16'],
  ['language_model.decoder.block.0.layer.2.DenseReluDense.wo.weight', 'matrix', 'decoder', 'fp16', 'fp16'],
  ['language_model.model.decoder.embed_tokens.weight', 'matrix', 'decoder', 'int8', 'int8'],
  ['language_model.lm_head.weight', 'matrix', 'decoder', 'int8', 'int8'],
])('%s as %s of %s: int8 stores it as %s, int4 as %s', (name, use, graph, int8, int4) => {
  expect(storageOf(matrix(name), use, graph, 'int8')).toBe(int8);
  expect(storageOf(matrix(name), use, graph, 'int4')).toBe(int4);
});

test.each<Precision>(['fp32', 'fp16', 'int12'])('%s stores every matrix so, whatever it is for', (precision) => {
  for (const use of ['matrix', 'values'] as const) {
    for (const graph of ['vision_encoder', 'decoder'])
      expect(storageOf(matrix('x.DenseReluDense.wo.weight'), use, graph, precision)).toBe(precision);
  }
});

test.each(PRECISIONS)('%s keeps biases, norms and computed tables exactly', (precision) => {
  const bias = trainedWeight('fc1.bias', [8], new Float32Array(8));
  expect(storageOf(bias, 'values', 'decoder', precision)).toBe('fp32');
  expect(storageOf(half(bias), 'values', 'decoder', precision)).toBe(precision === 'fp32' ? 'fp32' : 'fp16');
  const angles = computedWeight('rotary.cos', [8, 4], new Float32Array(32));
  expect(storageOf(angles, 'values', 'decoder', precision)).toBe('fp32');
});
