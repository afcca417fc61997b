/**
 * Keys and values of every position that the rows of a batch have seen, so that a step computes only the new ones.
 *
 * One buffer per layer for keys and one for values, [rows, heads, maxLength, headDim]. ONNX Runtime reads and updates them in place. Active
 * rows are always the first ones: when a row ends, the last active row moves into its place, and new rows are filled in behind.
 *
 * Memory: `bytesPerRow` (kv-cache-size.ts) for each row, allocated once.
 */
import { float32Tensor, type Tensor } from '../runtime/session.ts';
import type { KvCacheShape } from './kv-cache-size.ts';
import type { RowCache } from './language-model.ts';

export class KvCache implements RowCache {
  readonly shape: KvCacheShape;
  readonly #buffers: { name: string; data: Float32Array }[] = [];

  constructor(shape: KvCacheShape) {
    this.shape = shape;
    const { rows, layers, heads, maxLength, headDim } = shape;
    for (let layer = 0; layer < layers; layer++) {
      for (const part of ['key', 'value']) {
        this.#buffers.push({ name: `${layer}.${part}`, data: new Float32Array(rows * heads * maxLength * headDim) });
      }
    }
  }

  get rows(): number {
    return this.shape.rows;
  }

  get maxLength(): number {
    return this.shape.maxLength;
  }

  /** Rows `first` … `first + count - 1` as inputs and outputs of the decoder graph; both name the same memory. */
  window(first: number, count: number): { past: Record<string, Tensor>; present: Record<string, Tensor> } {
    const { heads, maxLength, headDim } = this.shape;
    const rowLength = heads * maxLength * headDim;
    const past: Record<string, Tensor> = {};
    const present: Record<string, Tensor> = {};
    for (const { name, data } of this.#buffers) {
      const rows = data.subarray(first * rowLength, (first + count) * rowLength);
      const tensor = float32Tensor(rows, [count, heads, maxLength, headDim]);
      past[`past_key_values.${name}`] = tensor;
      present[`present.${name}`] = tensor;
    }
    return { past, present };
  }

  /** Copies the first `length` positions of row `from` over row `to`. */
  copyRow(from: number, to: number, length: number): void {
    const { heads, maxLength, headDim } = this.shape;
    for (const { data } of this.#buffers) {
      for (let head = 0; head < heads; head++) {
        const source = (from * heads + head) * maxLength * headDim;
        data.copyWithin((to * heads + head) * maxLength * headDim, source, source + length * headDim);
      }
    }
  }
}
