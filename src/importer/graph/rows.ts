/**
 * Cutting and picking rows of a sequence [B, S, d], and what is computed over all of them.
 *
 * Kept apart from `operators.ts`, which holds what every architecture is made of.
 */
import { sizeOfAxis } from '../read/weight.ts';
import { repeatForBatch } from './operators.ts';
import type { GraphBuilder } from './builder.ts';
import type { Dim, Value } from './value.ts';

/** Position that stands for the end of an axis (ONNX Slice). */
const END = Number.MAX_SAFE_INTEGER;

/** Rows `from` … `to - 1` of each sequence: [B, S, d] -> [B, `size`, d]. Without `to`, all rows from `from` on. */
export function cutRows(g: GraphBuilder, x: Value, from: number, size: Dim, to = END): Value {
  const inputs = [x, g.int64([from]), g.int64([to]), g.int64([1])];
  return g.node1('Slice', inputs, { type: x.type, shape: x.shape.with(1, size) });
}

/** The first row of each sequence: [B, S, d] -> [B, d]. */
export function firstRow(g: GraphBuilder, x: Value): Value {
  return g.node1('Gather', [x, g.int64([0], [])], { type: x.type, shape: withoutRows(x) }, { axis: 1 });
}

/** Whole sequences by index: x [I, S, d], indices int64 [B] -> [B, S, d]. */
export function selectSequences(g: GraphBuilder, x: Value, indices: Value): Value {
  const shape = x.shape.with(0, sizeOfAxis(indices, 0));
  return g.node1('Gather', [x, indices], { type: x.type, shape }, { axis: 0 });
}

/** The mean over the rows of each sequence: [B, S, d] -> [B, d]. */
export function meanOfRows(g: GraphBuilder, x: Value): Value {
  return g.node1('ReduceMean', [x, g.int64([1])], { type: 'float', shape: withoutRows(x) }, { keepdims: 0 });
}

/** Each row divided by its Euclidean length. */
export function l2Normalize(g: GraphBuilder, x: Value): Value {
  return g.node1('LpNormalization', [x], { type: 'float', shape: x.shape }, { axis: -1, p: 2 });
}

/** 0, 1, 2, … along the second axis of `ids` [B, T] -> int64 [T]. */
export function countPositions(g: GraphBuilder, ids: Value): Value {
  const sizes = g.node1('Shape', [ids], { type: 'int64', shape: [2] });
  const length = g.node1('Gather', [sizes, g.int64([1], [])], { type: 'int64', shape: [] });
  const inputs = [g.int64([0], []), length, g.int64([1], [])];
  return g.node1('Range', inputs, { type: 'int64', shape: [sizeOfAxis(ids, 1)] });
}

/** A value of batch size 1 repeated for the rows of `like`; one that has them already as it is. */
export function withBatchOf(g: GraphBuilder, x: Value, like: Value): Value {
  return x.shape[0] === 1 ? repeatForBatch(g, x, like) : x;
}

/** [B, S, d] -> [B, d] */
function withoutRows(x: Value): Dim[] {
  return [sizeOfAxis(x, 0), sizeOfAxis(x, 2)];
}
