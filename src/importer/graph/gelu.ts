/** GELU (https://arxiv.org/abs/1606.08415) without a bias, in the two forms that published models were trained with. */
import { MICROSOFT, type GraphBuilder } from './builder.ts';
import type { Value } from './value.ts';

/** `0.5·x·(1 + erf(x/√2))`: "gelu". */
export function erfGelu(g: GraphBuilder, x: Value): Value {
  return g.node1('Gelu', [x], { type: 'float', shape: x.shape }, {}, MICROSOFT);
}

/** `0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))`: "gelu_new". */
export function tanhGelu(g: GraphBuilder, x: Value): Value {
  return g.node1('FastGelu', [x], { type: 'float', shape: x.shape }, {}, MICROSOFT);
}
