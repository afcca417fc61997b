/**
 * Keys and values that one kind of attention looks at, in every layer: [rows, heads, capacity, headDim] each. A graph reads whole rows and
 * masks what is not theirs, so the buffers are only about as long as the longest row in use: they grow in steps, and shrink when less than half of
 * them has been needed for a while.
 *
 * What a row has not written is always a number: a masked position weighs nothing, but nothing times NaN is NaN.
 */
import { required } from '../required.ts';
import { float32Data, float32Tensor, type Tensor } from '../runtime/session.ts';
import type { KeyValueShape } from './kv-cache-size.ts';

/** Positions by which the buffers grow: few copies over a long answer, little to read in vain for a short one. */
const GROWTH = 32;

/** Steps in which less than half is needed before the buffers shrink. A copy costs about as much as the graph's reading them once. */
const PATIENCE = 32;

export class KeyValueBuffers {
  readonly #shape: KeyValueShape;
  readonly #buffers: { name: string; data: Float32Array }[] = [];
  #capacity = 0;
  /** How many of the last steps needed less than half, and the capacity that would have done for them. */
  #sparseSteps = 0;
  #neededCapacity = 0;
  /** Whether all buffers are as long as `capacity` says: where memory runs out while they change, some are not. */
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
    const { maxLength } = this.#shape;
    this.#requireWhole();
    if (length <= this.#capacity) return;
    if (length > maxLength) throw new RangeError(`a row of ${length} positions in a cache of ${maxLength}`);
    this.#resize(this.#capacityFor(length));
  }

  /**
   * Says before a step how long the longest row is, of all that hold anything. Gives memory back where less than half of it has been needed for
   * many steps: so a long row costs no memory for long, and rows that come and go do not make the buffers go up and down.
   */
  settle(longest: number): void {
    const needed = this.#capacityFor(longest);
    if (2 * needed >= this.#capacity) {
      this.#sparseSteps = 0;
      this.#neededCapacity = 0;
      return;
    }
    this.#sparseSteps++;
    this.#neededCapacity = Math.max(this.#neededCapacity, needed);
    if (this.#sparseSteps === PATIENCE) this.#resize(this.#neededCapacity);
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
        const length = required(counts[row], 'the new positions of a row') * headDim;
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

  #capacityFor(length: number): number {
    return Math.min(Math.ceil(length / GROWTH) * GROWTH, this.#shape.maxLength);
  }

  /** Keeps the positions that both capacities have. */
  #resize(capacity: number): void {
    const { rows, heads, headDim } = this.#shape;
    const before = this.#capacity * headDim;
    const after = capacity * headDim;
    const kept = Math.min(before, after);
    this.#isWhole = false;
    for (const buffer of this.#buffers) {
      const resized = new Float32Array(rows * heads * after);
      for (let i = 0; i < rows * heads; i++)
        resized.set(buffer.data.subarray(i * before, i * before + kept), i * after);
      buffer.data = resized;
    }
    this.#isWhole = true;
    this.#capacity = capacity;
    this.#sparseSteps = 0;
    this.#neededCapacity = 0;
  }

  #requireWhole(): void {
    if (!this.#isWhole)
      throw new RangeError('memory ran out while the cache changed its size, so what its rows hold is lost');
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
