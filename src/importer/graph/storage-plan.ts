/**
 * Decides how each weight of a graph is stored, from the pack's precision and from what the weight is for.
 *
 * | precision | matrices of the language model | its head | other matrices | looked-up tables | the rest (kernels, query tokens) |
 * | --------- | ------------------------------ | -------- | -------------- | ---------------- | -------------------------------- |
 * | int8      | int8                           | int8     | int8           | int8             | fp16                             |
 * | int4      | int4 in blocks                 | int8     | int8           | int8             | fp16                             |
 *
 * Under fp32, fp16 and int12 everything is stored so. Whatever the precision, vectors (biases, norms) are few and sensitive and keep their exact values, and
 * so do weights that say so. T5's `wo` is computed in float32 even where the rest is int8: its inputs grow beyond what other layers see, which is why
 * the reference implementation keeps this one matrix in float32 too (transformers modeling_t5.py).
 */
import type { Precision } from '../../pack/model-declaration.ts';
import type { Weight } from '../read/weight.ts';
import type { WeightStorage } from './weight-storage.ts';

/** Graphs that hold the layers of a language model. */
const LANGUAGE_GRAPHS: ReadonlySet<string> = new Set(['decoder', 'encoder', 'cross_kv']);

/** The matrix that turns hidden states into logits; in some models the token embeddings serve as such. */
const HEAD = /\.?(lm_head|embed_tokens|shared|word_embeddings)\b/;

const COMPUTED_IN_FLOAT32 = /\.DenseReluDense\.wo\.weight$/;

/** What a weight is to its graph: W of `x·Wᵀ`, a table whose rows are looked up, or anything else. */
export type WeightUse = 'matrix' | 'table' | 'constant';

/**
 * @param graph name of the graph: `vision_encoder`, `decoder`, …
 */
export function storageOf(weight: Weight, use: WeightUse, graph: string, precision: Precision): WeightStorage {
  if (weight.exact === true) return 'fp32';
  const isVector = weight.shape.filter((size) => size > 1).length <= 1;
  if (isVector && precision !== 'fp32') return weight.dtype === 'F16' ? 'fp16' : 'fp32';
  if (precision !== 'int8' && precision !== 'int4') return precision;
  if (use === 'table') return 'int8Rows';
  if (use === 'constant' || COMPUTED_IN_FLOAT32.test(weight.name)) return 'fp16';
  return precision === 'int4' && LANGUAGE_GRAPHS.has(graph) && !HEAD.test(weight.name) ? 'int4Blocks' : 'int8Columns';
}
