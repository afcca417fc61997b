/**
 * Decides how each weight of a graph is stored, from the pack's precision and from what the weight is for.
 *
 * | precision | matrices of the language model | its head, and all other matrices | tables, kernels, query tokens |
 * | --------- | ------------------------------ | -------------------------------- | ----------------------------- |
 * | int8      | int8                           | int8                             | fp16                          |
 * | int4      | int4                           | int8                             | fp16                          |
 *
 * Under fp32, fp16 and int12 all of these are stored so. The head stays at 8 bits, since at 4 it alone makes the answers' distributions twice as wrong (nano:
 * Kullback-Leibler divergence 0.0053 instead of 0.0031). Tables are looked up, not computed with: 8 bits would save little.
 *
 * Whatever the precision, vectors (biases, norms) are few and sensitive and keep their exact values, and so do weights that say so. T5's `wo` is
 * computed in float32 even where the rest is int8: its inputs grow far beyond those of other layers, which is why the reference
 * implementation keeps this one matrix in float32 as well (transformers modeling_t5.py).
 */
import type { Precision } from '../../pack/model-declaration.ts';
import type { Weight } from '../read/weight.ts';
import type { WeightStorage } from './weight-storage.ts';

/** Graphs that hold the layers of a language model. */
const LANGUAGE_GRAPHS: ReadonlySet<string> = new Set(['decoder', 'encoder', 'cross_kv']);

/** The matrix that turns hidden states into logits; in some models the token embeddings serve as such. */
const HEAD = /\.(lm_head|embed_tokens|shared)\.weight$/;

const COMPUTED_IN_FLOAT32 = /\.DenseReluDense\.wo\.weight$/;

/** What a weight is to its graph: W of `x·Wᵀ`, or values that are read as they are (or looked up row by row). */
export type WeightUse = 'matrix' | 'values';

/**
 * @param graph name of the graph: `vision_encoder`, `decoder`, …
 */
export function storageOf(weight: Weight, use: WeightUse, graph: string, precision: Precision): WeightStorage {
  if (weight.exact === true) return 'fp32';
  const isVector = weight.shape.filter((size) => size > 1).length <= 1;
  if (isVector && precision !== 'fp32') return weight.dtype === 'F16' ? 'fp16' : 'fp32';
  if (precision !== 'int8' && precision !== 'int4') return precision;
  if (use === 'values' || COMPUTED_IN_FLOAT32.test(weight.name)) return 'fp16';
  return precision === 'int4' && LANGUAGE_GRAPHS.has(graph) && !HEAD.test(weight.name) ? 'int4' : 'int8';
}
