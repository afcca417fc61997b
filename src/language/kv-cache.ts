/**
 * Keys and values of every position that the rows of a batch have seen, so that a step computes only the new ones. Active rows are always the
 * first ones: when a row ends, the last active row moves into its place, and new rows are filled in behind.
 *
 * The graph reads the cache and gives back keys and values of the new positions alone, which are written here.
 *
 * Memory: at most `bytesPerRow` (kv-cache-size.ts) for each row; it grows and shrinks with the longest row in use.
 */
import { required } from '../required.ts';
import type { Tensor } from '../runtime/session.ts';
import { KeyValueBuffers } from './key-value-buffers.ts';
import type { KeyValueShape } from './kv-cache-size.ts';
import type { RowCache } from './language-model.ts';

export class KvCache implements RowCache {
  readonly rows: number;
  readonly maxLength: number;
  readonly #buffers: KeyValueBuffers;

  constructor(shape: KeyValueShape) {
    this.rows = shape.rows;
    this.maxLength = shape.maxLength;
    this.#buffers = new KeyValueBuffers(shape);
  }

  /** Positions of each row that there is memory for at present. */
  get capacity(): number {
    return this.#buffers.capacity;
  }

  /** Gives memory back that no row has needed for a while. @param pastLengths positions of all rows that hold any */
  settle(pastLengths: readonly number[]): void {
    this.#buffers.settle(Math.max(...pastLengths) + 1);
  }

  /** Gives `count` rows to new prompts; nothing is left of what they held. */
  startRows(firstRow: number, count: number): void {
    this.#buffers.clearRows(firstRow, count);
  }

  /** Rows `firstRow` … `firstRow + count - 1` as inputs of the decoder graph. */
  inputs(firstRow: number, count: number): Record<string, Tensor> {
    return this.#buffers.inputs(firstRow, count);
  }

  /** The same for rows that hold nothing yet, without what is to be masked. */
  emptyInputs(count: number): Record<string, Tensor> {
    return this.#buffers.emptyInputs(count);
  }

  /**
   * Writes present.N.{key,value} [B, heads, S, headDim] into the rows from `firstRow` on: the first `counts` positions of each row, behind the
   * `pastLengths` that it holds.
   */
  write(
    results: Readonly<Record<string, Tensor>>,
    firstRow: number,
    pastLengths: readonly number[],
    counts: readonly number[],
  ): void {
    this.#buffers.reserve(
      Math.max(...pastLengths.map((length, row) => length + required(counts[row], 'the new positions of a row'))),
    );
    this.#buffers.write(results, firstRow, pastLengths, counts);
  }

  copyRow(from: number, to: number): void {
    this.#buffers.copyRow(from, to);
  }

  copyPositions(from: number, to: number, start: number, end: number): void {
    this.#buffers.copyPositions(from, to, start, end);
  }
}
