/** Reads pieces of weights by where they lie in the files, again and again into the same memory: for a thread that encodes one piece after the other. */
import { toFloat32, type Dtype } from '../../tensor/dtype.ts';
import { FileBytes } from './file-bytes.ts';
import type { FileStretch } from './weight.ts';

export class StretchReader {
  readonly #files = new Map<string, FileBytes>();
  #memory = new ArrayBuffer(0);

  /**
   * The elements at these stretches, in order. They stay what they are until the next read only; whoever gives their memory away costs the reader
   * nothing but getting another.
   *
   * @throws CheckpointError when a file cannot be opened or read, or ends before.
   */
  async read(stretches: readonly FileStretch[], dtype: Dtype): Promise<Float32Array> {
    const byteLength = stretches.reduce((sum, { length }) => sum + length, 0);
    // Memory that was given away has no bytes left.
    if (this.#memory.byteLength < byteLength) this.#memory = new ArrayBuffer(byteLength);
    const bytes = new Uint8Array(this.#memory, 0, byteLength);
    let filled = 0;
    for (const { path, position, length } of stretches) {
      const file = this.#files.get(path) ?? (await FileBytes.open(path));
      this.#files.set(path, file);
      file.fillNow(bytes.subarray(filled, filled + length), position);
      filled += length;
    }
    return toFloat32(bytes, dtype);
  }

  async close(): Promise<void> {
    for (const file of this.#files.values()) await file.close();
    this.#files.clear();
  }
}
