/**
 * What an encoder-decoder model remembers of every row of a batch: keys and values of what the decoder has written, and those of the prompt,
 * which the encoder read once. Active rows are always the first ones, as in `kv-cache.ts`.
 */
import { required } from '../required.ts';
import type { Tensor } from '../runtime/session.ts';
import { KeyValueBuffers } from './key-value-buffers.ts';
import type { KeyValueShape } from './kv-cache-size.ts';
import type { RowCache } from './language-model.ts';

export class EncoderDecoderCache implements RowCache {
  readonly rows: number;
  readonly maxLength: number;
  /** Keys and values of the tokens that the decoder has read. */
  readonly decoder: KeyValueBuffers;
  /** Keys and values of the prompts. */
  readonly #encoder: KeyValueBuffers;
  readonly #encoderLengths: number[];

  constructor(shape: KeyValueShape) {
    this.rows = shape.rows;
    this.maxLength = shape.maxLength;
    this.decoder = new KeyValueBuffers(shape, 'decoder');
    this.#encoder = new KeyValueBuffers(shape, 'encoder');
    this.#encoderLengths = Array.from({ length: shape.rows }, () => 0);
  }

  /**
   * Gives the rows from `firstRow` on to new prompts; nothing is left of what they held.
   *
   * @param lengths positions of each prompt
   * @param crossKv present.N.encoder.{key,value}, [B, heads, T, headDim]
   */
  startRows(firstRow: number, lengths: readonly number[], crossKv: Readonly<Record<string, Tensor>>): void {
    this.decoder.clearRows(firstRow, lengths.length);
    this.#encoder.reserve(Math.max(...lengths));
    this.#encoder.clearRows(firstRow, lengths.length);
    const starts = lengths.map(() => 0);
    this.#encoder.write(crossKv, firstRow, starts, lengths);
    this.#encoderLengths.splice(firstRow, lengths.length, ...lengths);
  }

  /** Positions that there is memory for at present: of the prompts, and of what the decoder has read. */
  get capacities(): { encoder: number; decoder: number } {
    return { encoder: this.#encoder.capacity, decoder: this.decoder.capacity };
  }

  /** Gives memory back that no row has needed for a while. @param positions those that the decoder has read of each row that holds any */
  settle(positions: readonly number[]): void {
    this.decoder.settle(Math.max(...positions) + 1);
    this.#encoder.settle(Math.max(...this.encoderLengths(0, positions.length)));
  }

  /** Positions of the prompts in `count` rows. */
  encoderLengths(firstRow: number, count: number): readonly number[] {
    return this.#encoderLengths.slice(firstRow, firstRow + count);
  }

  /** The inputs of the decoder graph for `count` rows. */
  inputs(firstRow: number, count: number): Record<string, Tensor> {
    return { ...this.decoder.inputs(firstRow, count), ...this.#encoder.inputs(firstRow, count) };
  }

  copyRow(from: number, to: number): void {
    this.decoder.copyRow(from, to);
    this.#encoder.copyRow(from, to);
    this.#encoderLengths[to] = required(this.#encoderLengths[from], 'the prompt length of a row');
  }

  /** The prompt stays where it is: rows of one answer have the same. */
  copyPositions(from: number, to: number, start: number, end: number): void {
    this.decoder.copyPositions(from, to, start, end);
  }
}
