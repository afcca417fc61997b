/**
 * The operators our architectures are made of, with their shapes checked while the graph is built.
 *
 * Where ONNX Runtime has a fused operator that is faster on the CPU (attention, bias + GELU), it is used directly: what a fusion pass would
 * have to find again is simply written down. Its SkipLayerNormalization is not: measured, it takes ten times as long as the plain sums and
 * the vectorised LayerNormalization, a tenth of an image encoder.
 *
 * Shapes: B rows, S positions, d hidden size, K inputs and N outputs of a linear layer.
 */
import { sizeOfAxis, type Weight } from '../read/weight.ts';
import { GraphBuilder, MICROSOFT } from './builder.ts';
import { matrixProduct } from './linear.ts';
import type { Dim, Value } from './value.ts';

/** `x·Wᵀ` with W as checkpoints store it, [N, K]: x [.., K] -> [.., N]. The bias, if any, joins a later operator. */
export function linearWithoutBias(g: GraphBuilder, x: Value, weight: Weight): Value {
  return matrixProduct(g, x, weight);
}

/** `x·Wᵀ + b`. */
export function linear(g: GraphBuilder, x: Value, weight: Weight, bias: Weight): Value {
  return add(g, linearWithoutBias(g, x, weight), g.weight(bias));
}

/** Elementwise sum; `b` may have fewer axes and is then repeated along the leading ones of `a`. */
export function add(g: GraphBuilder, a: Value, b: Value): Value {
  return g.node1('Add', [a, b], { type: a.type, shape: a.shape });
}

/** Elementwise product of values of one shape. */
export function multiply(g: GraphBuilder, a: Value, b: Value): Value {
  return g.node1('Mul', [a, b], { type: 'float', shape: a.shape });
}

/** The two learned vectors of a layer norm. */
export type NormWeights = { weight: Weight; bias: Weight };

export function layerNorm(g: GraphBuilder, x: Value, norm: NormWeights, epsilon: number): Value {
  const inputs = [x, g.weight(norm.weight), g.weight(norm.bias)];
  return g.node1(
    'LayerNormalization',
    inputs,
    { type: 'float', shape: x.shape },
    { axis: -1, epsilon: { float: epsilon } },
  );
}

/**
 * `sum = x + residual + bias` and `normalized = layerNorm(sum)`: the seam between two sub-layers.
 * Pre-norm models carry `sum` on as the residual; post-norm models carry `normalized` on.
 */
export function skipLayerNorm(
  g: GraphBuilder,
  x: Value,
  residual: Value,
  bias: Weight,
  norm: NormWeights,
  epsilon: number,
): { normalized: Value; sum: Value } {
  if (x.shape.length !== residual.shape.length) throw new RangeError('a residual has the shape of what it is added to');
  const sum = add(g, add(g, x, g.weight(bias)), residual);
  return { normalized: layerNorm(g, sum, norm, epsilon), sum };
}

/**
 * RMSNorm (https://arxiv.org/abs/1910.07467), as LLaMA and T5 have it: `x · rsqrt(mean(x²) + epsilon) · weight` over the last axis. No mean, no
 * bias, statistics in float32.
 */
export function rmsNorm(g: GraphBuilder, x: Value, weight: Weight, epsilon: number): Value {
  return g.node1(
    'SimplifiedLayerNormalization',
    [x, g.weight(weight)],
    { type: 'float', shape: x.shape },
    { axis: -1, epsilon: { float: epsilon } },
  );
}

/** GELU (https://arxiv.org/abs/1606.08415), `0.5·x·(1 + erf(x/√2))`: "gelu". */
export function erfGelu(g: GraphBuilder, x: Value): Value {
  return g.node1('Gelu', [x], { type: 'float', shape: x.shape }, {}, MICROSOFT);
}

/** GELU in its tanh form, `0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))`: "gelu_new". */
export function tanhGelu(g: GraphBuilder, x: Value): Value {
  return g.node1('FastGelu', [x], { type: 'float', shape: x.shape }, {}, MICROSOFT);
}

/** `erfGelu(x + bias)` in one operator. */
export function biasErfGelu(g: GraphBuilder, x: Value, bias: Weight): Value {
  return g.node1('BiasGelu', [x, g.weight(bias)], { type: 'float', shape: x.shape }, {}, MICROSOFT);
}

/** `tanhGelu(x + bias)` in one operator. */
export function biasTanhGelu(g: GraphBuilder, x: Value, bias: Weight): Value {
  return g.node1('FastGelu', [x, g.weight(bias)], { type: 'float', shape: x.shape }, {}, MICROSOFT);
}

/** SiLU, `x·sigmoid(x)`: ONNX Runtime's QuickGelu with factor 1. */
export function silu(g: GraphBuilder, x: Value): Value {
  return g.node1('QuickGelu', [x], { type: 'float', shape: x.shape }, { alpha: { float: 1 } }, MICROSOFT);
}

export function relu(g: GraphBuilder, x: Value): Value {
  return g.node1('Relu', [x], { type: 'float', shape: x.shape, nonNegative: true });
}

type Parts = { 2: [Value, Value]; 3: [Value, Value, Value] };

/** Cuts the last axis into equal parts. */
export function split<Count extends keyof Parts>(g: GraphBuilder, x: Value, parts: Count): Parts[Count] {
  const last = x.shape.at(-1);
  if (typeof last !== 'number' || last % parts !== 0)
    throw new RangeError(`[${x.shape.join(', ')}] does not split into ${parts}`);
  const result = { type: x.type, shape: [...x.shape.slice(0, -1), last / parts] };
  const results = Array.from({ length: parts }, () => result);
  // A node has as many results as are asked for.
  return g.node('Split', [x], results, { axis: -1, num_outputs: parts }) as Parts[Count];
}

/**
 * Softmax attention without mask: every query sees every key. Scores are divided by the square root of the head size.
 *
 * @param query [B, S, d] @param key [B, T, d] @param value [B, T, d], all still without their biases
 * @param bias [3d], the biases of query, key and value in a row
 * @returns [B, S, d]
 */
export function attention(
  g: GraphBuilder,
  query: Value,
  key: Value,
  value: Value,
  bias: Weight,
  numHeads: number,
): Value {
  const inputs = [query, key, value, g.weight(bias)];
  return g.node1(
    'MultiHeadAttention',
    inputs,
    { type: 'float', shape: query.shape },
    { num_heads: numHeads },
    MICROSOFT,
  );
}

/** Another view of the same elements; 0 in `shape` keeps a size, -1 is worked out (ONNX Reshape). `result` states the outcome. */
export function reshape(g: GraphBuilder, x: Value, shape: readonly number[], result: readonly Dim[]): Value {
  return g.node1('Reshape', [x, g.int64(shape)], { type: x.type, shape: result });
}

export function transpose(g: GraphBuilder, x: Value, permutation: readonly number[]): Value {
  const shape = permutation.map((axis) => sizeOfAxis(x, axis));
  return g.node1('Transpose', [x], { type: x.type, shape }, { perm: permutation });
}

/** Joins values along an axis; `size` is the joined size of that axis. */
export function concat(g: GraphBuilder, values: readonly Value[], axis: number, size: Dim): Value {
  const [first] = values;
  if (first === undefined) throw new RangeError('concat needs at least one value');
  return g.node1('Concat', values, { type: first.type, shape: first.shape.with(axis, size) }, { axis });
}

/** Repeats a value of batch size 1 as often as `like` has rows: [1, ..] -> [B, ..]. */
export function repeatForBatch(g: GraphBuilder, x: Value, like: Value): Value {
  const batch = g.node1('Shape', [like], { type: 'int64', shape: [1] }, { start: 0, end: 1 });
  const ones = g.int64(x.shape.slice(1).map(() => 1));
  const shape = concat(g, [batch, ones], 0, x.shape.length);
  return g.node1('Expand', [x, shape], { type: x.type, shape: x.shape.with(0, sizeOfAxis(like, 0)) });
}

/** One position of each row: x [B, S, d], positions int64 [B] -> [B, d]. */
export function positionOfEachRow(g: GraphBuilder, x: Value, positions: Value): Value {
  const batch = sizeOfAxis(x, 0);
  const indices = reshape(g, positions, [-1, 1], [batch, 1]);
  return g.node1('GatherND', [x, indices], { type: x.type, shape: [batch, sizeOfAxis(x, 2)] }, { batch_dims: 1 });
}
