import { expect, test } from 'vitest';
import { erfGelu, tanhGelu } from '../../../src/importer/graph/operators.ts';
import { float32Tensor } from '../../../src/runtime/session.ts';
import { runGraph } from './run-graph.ts';

/** The error function by its power series, in double precision. */
function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; n < 120; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const inputs = Float32Array.from({ length: 161 }, (_, i) => (i - 80) / 20);

test.each([
  ['gelu', erfGelu, (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2))],
  ['gelu_new', tanhGelu, (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))],
] as const)('"%s" is the formula it was published with', async (_, build, formula) => {
  const { y = new Float32Array() } = await runGraph((g) => ({ y: build(g, g.input('x', 'float', ['N'])) }), {
    x: float32Tensor(inputs, [inputs.length]),
  });
  inputs.forEach((x, i) => expect(Math.abs((y[i] ?? NaN) - formula(x))).toBeLessThan(2e-6));
});
