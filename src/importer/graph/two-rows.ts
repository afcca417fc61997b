/**
 * Keeps a matrix product from ever seeing a single row, for kernels that sum a single row in another order than the rows of a batch: a caption must not
 * depend on how many images are answered together. A single row is given twice, and the second result is dropped.
 */
import type { GraphBuilder } from './builder.ts';
import { ONNX_TYPES, type Dim, type Value } from './value.ts';

/** For each graph and each kind of leading axes: 1 where they come to a single row, else 0. */
const singleRowFlags = new WeakMap<GraphBuilder, Map<string, Value>>();

/**
 * `product(x)` for x [.., S, K], which must work row by row.
 *
 * @returns [.., S, N]
 */
export function withTwoRows(g: GraphBuilder, x: Value, product: (x: Value) => Value): Value {
  const axis = x.shape.length - 2;
  const axes = g.int64([axis]);
  const extra: Dim = `${x.shape[axis]} rows more`;
  const copy = g.node1('Slice', [x, g.int64([0]), singleRowFlag(g, x), axes], {
    type: 'float',
    shape: x.shape.with(axis, extra),
  }); // [.., 0 or 1, K]
  const joined = x.shape.with(axis, `${x.shape[axis]} and ${extra}`);
  const rowsAndCopy = g.node1('Concat', [x, copy], { type: 'float', shape: joined }, { axis }); // [.., S or S + 1, K]
  const result = product(rowsAndCopy); // [.., S or S + 1, N]
  const rows = g.node1('Shape', [x], { type: 'int64', shape: [1] }, { start: axis, end: axis + 1 }); // [1]
  const shape = [...x.shape.slice(0, -1), ...result.shape.slice(-1)];
  return g.node1('Slice', [result, g.int64([0]), rows, axes], { type: 'float', shape }); // [.., S, N]
}

/** int64 [1] */
function singleRowFlag(g: GraphBuilder, x: Value): Value {
  // The first product of a graph begins its map.
  const flags = singleRowFlags.get(g) ?? new Map<string, Value>();
  singleRowFlags.set(g, flags);
  const leading = x.shape.slice(0, -1).join();
  const known = flags.get(leading);
  if (known !== undefined) return known;
  const width = x.shape.at(-1);
  if (typeof width !== 'number') throw new RangeError('the width of a linear layer is fixed');
  const size = g.node1('Size', [x], { type: 'int64', shape: [] });
  const isSingle = g.node1('Less', [size, g.int64([2 * width], [])], { type: 'bool', shape: [] });
  const flag = g.node1('Cast', [isSingle], { type: 'int64', shape: [] }, { to: ONNX_TYPES.int64 });
  const result = g.node1('Reshape', [flag, g.int64([1])], { type: 'int64', shape: [1] });
  flags.set(leading, result);
  return result;
}
