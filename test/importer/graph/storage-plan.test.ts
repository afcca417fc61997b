/** What is stored how: the table of storage-plan.ts. */
import { expect, test } from 'vitest';
import { storageOf, type WeightUse } from '../../../src/importer/graph/storage-plan.ts';
import { computedWeight, type Weight } from '../../../src/importer/read/weight.ts';
import { PRECISIONS, type Precision } from '../../../src/pack/model-declaration.ts';
import { trainedWeight } from './stored-graph.ts';

const matrix = (name: string): Weight => trainedWeight(name, [8, 4], new Float32Array(32));
const half = (weight: Weight): Weight => ({ ...weight, dtype: 'F16' });

test.each<[name: string, use: WeightUse, graph: string, int8: string, int4: string]>([
  ['vision_model.encoder.layers.0.mlp.fc1.weight', 'matrix', 'vision_encoder', 'int8Columns', 'int8Columns'],
  ['language_projection.weight', 'matrix', 'qformer', 'int8Columns', 'int8Columns'],
  ['vision_model.embeddings.patch_embedding.weight', 'constant', 'vision_encoder', 'fp16', 'fp16'],
  ['language_model.model.decoder.embed_tokens.weight', 'table', 'embed_tokens', 'int8Rows', 'int8Rows'],
  ['language_model.model.decoder.embed_positions.weight', 'table', 'decoder', 'int8Rows', 'int8Rows'],
  ['language_model.model.decoder.layers.0.fc1.weight', 'matrix', 'decoder', 'int8Columns', 'int4Blocks'],
  ['language_model.encoder.block.0.layer.0.SelfAttention.q.weight', 'matrix', 'encoder', 'int8Columns', 'int4Blocks'],
  ['language_model.decoder.block.0.layer.1.EncDecAttention.k.weight', 'matrix', 'cross_kv', 'int8Columns', 'int4Blocks'],
  ['language_model.encoder.block.0.layer.1.DenseReluDense.wi_0.weight', 'matrix', 'encoder', 'int8Columns', 'int4Blocks'],
  ['language_model.encoder.block.0.layer.1.DenseReluDense.wo.weight', 'matrix', 'encoder', 'fp16', 'fp16'],
  ['language_model.decoder.block.0.layer.2.DenseReluDense.wo.weight', 'matrix', 'decoder', 'fp16', 'fp16'],
  ['language_model.model.decoder.embed_tokens.weight', 'matrix', 'decoder', 'int8Columns', 'int8Columns'],
  ['language_model.lm_head.weight', 'matrix', 'decoder', 'int8Columns', 'int8Columns'],
])('%s as %s of %s: int8 stores it as %s, int4 as %s', (name, use, graph, int8, int4) => {
  expect(storageOf(matrix(name), use, graph, 'int8')).toBe(int8);
  expect(storageOf(matrix(name), use, graph, 'int4')).toBe(int4);
});

test.each<Precision>(['fp32', 'fp16', 'int12'])('%s stores every matrix so, whatever it is for', (precision) => {
  for (const use of ['matrix', 'table', 'constant'] as const) {
    for (const graph of ['vision_encoder', 'decoder'])
      expect(storageOf(matrix('x.DenseReluDense.wo.weight'), use, graph, precision)).toBe(precision);
  }
});

test.each(PRECISIONS)('%s keeps biases, norms and computed tables exactly', (precision) => {
  const bias = trainedWeight('fc1.bias', [8], new Float32Array(8));
  expect(storageOf(bias, 'constant', 'decoder', precision)).toBe('fp32');
  expect(storageOf(half(bias), 'constant', 'decoder', precision)).toBe(precision === 'fp32' ? 'fp32' : 'fp16');
  const angles = computedWeight('rotary.cos', [8, 4], new Float32Array(32));
  expect(storageOf(angles, 'constant', 'decoder', precision)).toBe('fp32');
});
