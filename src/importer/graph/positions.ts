/** Counting positions inside a graph, where the sizes are known only at run time. */
import type { GraphBuilder } from './builder.ts';
import { add } from './operators.ts';
import { ONNX_TYPES, type Value } from './value.ts';

/** Added to the score of a key that must not be seen: no exponential is left of it, and unlike -infinity it never makes NaN. */
export const MASKED = -1e30;

/** The size of one axis, as an int64 scalar. */
export function sizeOf(g: GraphBuilder, x: Value, axis: number): Value {
  const shape = g.node1('Shape', [x], { type: 'int64', shape: [x.shape.length] });
  return g.node1('Gather', [shape, g.int64([axis], [])], { type: 'int64', shape: [] }, { axis: 0 });
}

/** 0, 1, … below a limit. */
export function countUpTo(g: GraphBuilder, limit: Value): Value {
  return g.node1('Range', [g.int64([0], []), limit, g.int64([1], [])], { type: 'int64', shape: ['T'] });
}

export function subtract(g: GraphBuilder, a: Value, b: Value, shape: Value['shape']): Value {
  return g.node1('Sub', [a, b], { type: a.type, shape });
}

/** `MASKED` where an int64 value is at least `least`, 0 below. */
export function maskFrom(g: GraphBuilder, values: Value, least: number): Value {
  const { shape } = values;
  const shifted = least === 1 ? values : add(g, values, g.int64([1 - least], []));
  const isMasked = g.node1('Clip', [shifted, g.int64([0], []), g.int64([1], [])], { type: 'int64', shape });
  const asFloat = g.node1('Cast', [isMasked], { type: 'float', shape }, { to: ONNX_TYPES.float });
  return g.node1('Mul', [asFloat, g.scalar(MASKED)], { type: 'float', shape });
}
