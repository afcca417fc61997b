/**
 * Keys and values that one kind of attention looks at, in every layer: [rows, heads, capacity, headDim] each. A graph reads whole rows and
 * masks what is not theirs, so the buffers are only as long as the longest row so far, and grow in steps.
 *
 * What a row has not written is always a number: a masked position weighs nothing, but nothing times NaN is NaN.
 */
import { float32Data, float32Tensor, type Tensor } from '../runtime/session.ts';

export type KeyValueShape = { rows: number; layers: number; heads: number; maxLength: number; headDim: number };

/** Positions by which the buffers grow: few copies over a long answer, little to read in vain for a short one. */
const GROWTH = 32;

export class KeyValueBuffers {
  readonly #shape: KeyValueShape;
  readonly #buffers: { name: string; data: Float32Array }[] = [];
  #capacity = 0;
  /** Whether all buffers are as long as `capacity` says: where memory runs out while they grow, some are not. */
  #isWhole = true;

  /** @param side whose positions they are where there are two kinds, as in the names of the graph: past_key_values.N.SIDE.key */
  constructor(shape: KeyValueShape, side?: 'decoder' | 'encoder') {
    this.#shape = shape;
    for (let layer = 0; layer < shape.layers; layer++) {
      for (const part of ['key', 'value'])
        this.#buffers.push({
          name: [layer, side, part].filter((word) => word !== undefined).join('.'),
          data: new Float32Array(0),
        });
    }
  }

  /** Positions of each row that the buffers have at present. */
  get capacity(): number {
    return this.#capacity;
  }

  /**
   * Makes room for rows of this length.
   *
   * @throws RangeError when it is more than the rows may ever have: a mistake of the loop, which has to end a row before; or when memory runs out,
   * and from then on always.
   */
  reserve(length: number): void {
    const { rows, heads, headDim, maxLength } = this.#shape;
    this.#requireWhole();
    if (length <= this.#capacity) return;
    if (length > maxLength) throw new RangeError(`a row of ${length} positions in a cache of ${maxLength}`);
    const before = this.#capacity * headDim;
    this.#capacity = Math.min(Math.ceil(length / GROWTH) * GROWTH, maxLength);
    const after = this.#capacity * headDim;
    this.#isWhole = false;
    for (const buffer of this.#buffers) {
      const grown = new Float32Array(rows * heads * after);
      for (let i = 0; i < rows * heads; i++) grown.set(buffer.data.subarray(i * before, (i + 1) * before), i * after);
      buffer.data = grown;
    }
    this.#isWhole = true;
  }

  /** Rows `first` … `first + count - 1` as inputs of the decoder graph. */
  inputs(first: number, count: number): Record<string, Tensor> {
    this.#requireWhole();
    const { heads, headDim } = this.#shape;
    const dims = [count, heads, this.#capacity, headDim];
    const entries = this.#buffers.map(({ name, data }) => {
      const rows = data.subarray(first * this.#rowLength, (first + count) * this.#rowLength);
      return [`past_key_values.${name}`, float32Tensor(rows, dims)] as const;
    });
    return Object.fromEntries(entries);
  }

  /** Rows without any positions as inputs of the decoder graph. */
  emptyInputs(count: number): Record<string, Tensor> {
    const { heads, headDim } = this.#shape;
    const dims = [count, heads, 0, headDim];
    const entries = this.#buffers.map(
      ({ name }) => [`past_key_values.${name}`, float32Tensor(new Float32Array(0), dims)] as const,
    );
    return Object.fromEntries(entries);
  }

  clearRows(first: number, count: number): void {
    for (const { data } of this.#buffers) data.fill(0, first * this.#rowLength, (first + count) * this.#rowLength);
  }

  /**
   * Writes results of a graph, present.N.* [B, heads, S, headDim], into the rows from `first` on: of each row its first `counts` positions, to
   * the positions from `starts` on, for which there must be room.
   */
  write(
    results: Readonly<Record<string, Tensor>>,
    first: number,
    starts: readonly number[],
    counts: readonly number[],
  ): void {
    const { heads, headDim } = this.#shape;
    for (const { name, data } of this.#buffers) {
      const written = float32Data(results, `present.${name}`);
      const perHead = written.length / (starts.length * heads);
      starts.forEach((start, row) => {
        const length = (counts[row] ?? 0) * headDim;
        for (let head = 0; head < heads; head++) {
          const from = (row * heads + head) * perHead;
          const to = (((first + row) * heads + head) * this.#capacity + start) * headDim;
          copyFloats(written, from, data, to, length);
        }
      });
    }
  }

  copyRow(from: number, to: number): void {
    const length = this.#rowLength;
    for (const { data } of this.#buffers) data.copyWithin(to * length, from * length, (from + 1) * length);
  }

  /** Copies the positions `start` … `end - 1` of a row to the same positions of another, which holds those before. */
  copyPositions(from: number, to: number, start: number, end: number): void {
    const { heads, headDim } = this.#shape;
    for (const { data } of this.#buffers) {
      for (let head = 0; head < heads; head++) {
        const source = (from * heads + head) * this.#capacity;
        const target = (to * heads + head) * this.#capacity;
        copyFloats(data, (source + start) * headDim, data, (target + start) * headDim, (end - start) * headDim);
      }
    }
  }

  #requireWhole(): void {
    if (!this.#isWhole) throw new RangeError('memory ran out while the cache grew, so what its rows hold is lost');
  }

  get #rowLength(): number {
    return this.#shape.heads * this.#capacity * this.#shape.headDim;
  }
}

/** One head of one position is so short that making views of it would take longer than copying it. */
const SHORT_COPY = 256;

function copyFloats(source: Float32Array, from: number, target: Float32Array, to: number, length: number): void {
  if (length > SHORT_COPY) target.set(source.subarray(from, from + length), to);
  else for (let i = 0; i < length; i++) target[to + i] = source[from + i] as number;
}
