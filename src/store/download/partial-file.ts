/**
 * A file that is being downloaded: it grows at its end, survives the process, and becomes the real file when it is whole.
 *
 * The checksum is computed on the way, so that a large file need not be read again; what an earlier process left is read once.
 */
import type { Hash } from 'node:crypto';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';

const READ_BYTES = 2 ** 20;

export class PartialFile {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #startHash: () => Hash;
  #hash: Hash;
  #bytes = 0;

  private constructor(path: string, handle: FileHandle, startHash: () => Hash) {
    this.path = path;
    this.#handle = handle;
    this.#startHash = startHash;
    this.#hash = startHash();
  }

  /** Opens the file, or makes it; what is there already counts as its beginning. */
  static async open(path: string, startHash: () => Hash): Promise<PartialFile> {
    const handle = await open(path, 'a+');
    const file = new PartialFile(path, handle, startHash);
    try {
      await file.#readBeginning();
      return file;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** How much of the file is there. */
  get bytes(): number {
    return this.#bytes;
  }

  async append(chunk: Uint8Array): Promise<void> {
    await this.#handle.appendFile(chunk);
    this.#hash.update(chunk);
    this.#bytes += chunk.length;
  }

  /** Throws away what is there. */
  async restart(): Promise<void> {
    if (this.#bytes > 0) await this.#handle.truncate(0);
    this.#hash = this.#startHash();
    this.#bytes = 0;
  }

  /** The checksum of what is there. */
  checksum(): string {
    return this.#hash.copy().digest('hex');
  }

  /** Gives the file its name, once every byte is on the disk. Nothing else may be called afterwards. */
  async moveTo(target: string): Promise<void> {
    await this.#handle.sync();
    await this.#handle.close();
    await rename(this.path, target);
  }

  /** Removes the file. Nothing else may be called afterwards. */
  async remove(): Promise<void> {
    await this.#handle.close();
    await rm(this.path, { force: true });
  }

  /** Leaves the file as it is, to be gone on with later. May be called twice. */
  async close(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
  }

  async #readBeginning(): Promise<void> {
    const { size } = await this.#handle.stat();
    const buffer = Buffer.alloc(Math.min(size, READ_BYTES));
    while (this.#bytes < size) {
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, this.#bytes);
      if (bytesRead === 0) break;
      this.#hash.update(buffer.subarray(0, bytesRead));
      this.#bytes += bytesRead;
    }
  }
}
