/** Elementwise products, and the activations that only some language models have. */
import type { Weight } from '../read/weight.ts';
import { MICROSOFT, type GraphBuilder } from './builder.ts';
import type { Value } from './value.ts';

/** Elementwise product of values of one shape. */
export function multiply(g: GraphBuilder, a: Value, b: Value): Value {
  return g.node1('Mul', [a, b], { type: 'float', shape: a.shape });
}

/** SiLU, `x·sigmoid(x)`: ONNX Runtime's QuickGelu with factor 1. */
export function silu(g: GraphBuilder, x: Value): Value {
  return g.node1('QuickGelu', [x], { type: 'float', shape: x.shape }, { alpha: { float: 1 } }, MICROSOFT);
}

/** `0.5·y·(1 + tanh(√(2/π)·(y + 0.044715·y³)))` with `y = x + bias`: "gelu_new". */
export function biasTanhGelu(g: GraphBuilder, x: Value, bias: Weight): Value {
  return g.node1('FastGelu', [x, g.weight(bias)], { type: 'float', shape: x.shape }, {}, MICROSOFT);
}
