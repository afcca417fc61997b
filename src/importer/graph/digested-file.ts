/** A file that is written from its beginning to its end, and hashed on the way, so that it need not be read again for its checksum. */
import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import type { FileDigest } from '../../pack/model-declaration.ts';

export class DigestedFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #hash = createHash('sha256');
  #size = 0;

  private constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  /** Creates the file, or empties the one that is there. */
  static async create(path: string): Promise<DigestedFile> {
    return new DigestedFile(path, await open(path, 'w'));
  }

  /** Bytes written so far: the position of the next ones. */
  get size(): number {
    return this.#size;
  }

  async write(bytes: Uint8Array): Promise<void> {
    // The system writes while the checksum is computed.
    const written = this.#writeAll(bytes);
    this.#hash.update(bytes);
    await written;
    this.#size += bytes.byteLength;
  }

  /** Fills up with zeros to a position that is not behind. */
  async padTo(position: number): Promise<void> {
    await this.write(new Uint8Array(position - this.#size));
  }

  /** What was written. The file is complete; still to be closed. */
  digest(): FileDigest {
    return { path: basename(this.#path), bytes: this.#size, sha256: this.#hash.digest('hex') };
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    let done = 0;
    while (done < bytes.byteLength) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.byteLength - done, this.#size + done);
      done += bytesWritten;
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
