/**
 * T5's relative positions (https://arxiv.org/abs/1910.10683, section 2.1; transformers modeling_t5.py): each head adds a learned number to a
 * score, chosen by how far the key is from the query. Distances share a bucket, the more of them the farther away.
 *
 * Which bucket a distance falls into is settled at import: the learned rows, one per bucket, are laid out anew as a table with a row for every
 * distance, so that the graph looks up rows and computes no logarithm.
 *
 * B rows, S queries, T keys, C positions of the cache, H heads.
 */
import { reorderRows, type Weight } from '../read/weight.ts';
import type { GraphBuilder } from './builder.ts';
import { add, concat, reshape, transpose } from './operators.ts';
import { countUpTo, maskFrom, sizeOf, subtract } from './positions.ts';
import type { Value } from './value.ts';

export type RelativeBuckets = {
  numBuckets: number;
  /** All keys at least this far away share the last bucket. */
  maxDistance: number;
  /** Whether keys on either side of the query are seen; each side then has half of the buckets. */
  isBidirectional: boolean;
};

/**
 * The bucket of a key that stands `distance` positions after the query (positive) or before it (negative).
 *
 * The first half of a side's buckets holds one distance each; the other half divides the distances up to `maxDistance` evenly by their
 * logarithm.
 */
export function relativeBucket(
  distance: number,
  { numBuckets, maxDistance, isBidirectional }: RelativeBuckets,
): number {
  const buckets = isBidirectional ? numBuckets / 2 : numBuckets;
  const side = isBidirectional && distance > 0 ? buckets : 0;
  const steps = isBidirectional ? Math.abs(distance) : Math.max(-distance, 0);
  const exact = Math.floor(buckets / 2);
  if (steps < exact) return side + steps;
  const octaves = Math.log(steps / exact) / Math.log(maxDistance / exact);
  return side + Math.min(exact + Math.floor(octaves * (buckets - exact)), buckets - 1);
}

/** The learned rows [numBuckets, H] for every distance from `-maxDistance` to `maxDistance`, or to 0 where no later key is seen. */
export function biasByDistance(learned: Weight, buckets: RelativeBuckets): Weight {
  const { maxDistance, isBidirectional } = buckets;
  const rows = maxDistance + 1 + (isBidirectional ? maxDistance : 0);
  const order = Array.from({ length: rows }, (_, row) => relativeBucket(row - maxDistance, buckets));
  // A few hundred rows that are added to every score are worth their full precision.
  return { ...reorderRows(learned, order, 'by_distance'), exact: true };
}

/**
 * The bias of an encoder, the same for every row: [1, H, T, T].
 *
 * @param table of `biasByDistance`, both sides @param inputs [B, T, d], read for T alone
 */
export function encoderBias(g: GraphBuilder, table: Weight, inputs: Value, maxDistance: number): Value {
  const positions = countUpTo(g, sizeOf(g, inputs, 1)); // [T]
  const queries = reshape(g, positions, [1, -1, 1], [1, 'T', 1]); // [1, T, 1]
  const distances = subtract(g, positions, queries, [1, 'T', 'T']); // [1, T, T]
  return lookUp(g, table, distances, maxDistance, maxDistance);
}

/**
 * The bias of one new query per row, over the positions of a cache and then the query's own: [B, H, 1, C + 1]. Positions of the cache that the
 * row has not written are masked.
 *
 * @param table of `biasByDistance`, one side @param positionIds int64 [B, 1] @param cached [B, H, C, Dk], read for C alone
 */
export function stepBias(
  g: GraphBuilder,
  table: Weight,
  positionIds: Value,
  cached: Value,
  maxDistance: number,
): Value {
  const queries = reshape(g, positionIds, [-1, 1, 1], ['B', 1, 1]); // [B, 1, 1]
  const distances = subtract(g, countUpTo(g, sizeOf(g, cached, 2)), queries, ['B', 1, 'C']); // [B, 1, C]
  const ofCache = add(g, lookUp(g, table, distances, maxDistance, 0), unwrittenMask(g, distances)); // [B, H, 1, C]
  const ofItself = lookUp(g, table, subtract(g, queries, queries, ['B', 1, 1]), maxDistance, 0); // [B, H, 1, 1]
  return concat(g, [ofCache, ofItself], 3, 'C + 1'); // [B, H, 1, C + 1]
}

/** Rows of the table for distances [X, S, T], as [X, H, S, T]. */
function lookUp(g: GraphBuilder, table: Weight, distances: Value, least: number, greatest: number): Value {
  const range = [distances, g.int64([-least], []), g.int64([greatest], [])];
  const clipped = g.node1('Clip', range, { type: 'int64', shape: distances.shape }); // [X, S, T]
  const rows = g.gatherRows(table, add(g, clipped, g.int64([least], []))); // [X, S, T, H]
  return transpose(g, rows, [0, 3, 1, 2]); // [X, H, S, T]
}

/** `MASKED` for keys at the query's own position or after it, 0 for those before: distances [B, 1, C] -> [B, 1, 1, C]. */
function unwrittenMask(g: GraphBuilder, distances: Value): Value {
  return reshape(g, maskFrom(g, distances, 0), [0, 1, 1, -1], ['B', 1, 1, 'C']); // [B, 1, 1, C]
}
