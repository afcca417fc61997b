/**
 * Bytes of a checkpoint file, by position. Whatever goes wrong is told as a fact about the file: it is missing, it is no file, it ends too
 * early.
 */
import { readSync } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { CheckpointError, type CheckpointFault } from '../../errors.ts';

/** A file opened for reading. Close it, or its handle leaks. */
export class FileBytes {
  readonly path: string;
  /** Bytes of the file when it was opened. */
  readonly size: number;
  readonly #handle: FileHandle;

  private constructor(path: string, size: number, handle: FileHandle) {
    this.path = path;
    this.size = size;
    this.#handle = handle;
  }

  /** @throws CheckpointError when the file is not there, is not an ordinary file, or may not be read. */
  static async open(path: string): Promise<FileBytes> {
    try {
      // Asked before opening: opening a named pipe would wait for somebody to write into it.
      const isFile = (await stat(path)).isFile();
      if (!isFile) throw new CheckpointError(path, 'this is not a file.', { fault: 'not-a-checkpoint' });
      const handle = await open(path, 'r');
      return new FileBytes(path, (await handle.stat()).size, handle);
    } catch (cause) {
      if (cause instanceof CheckpointError) throw cause;
      throw new CheckpointError(path, `the file cannot be opened (${String(cause)}).`, { cause });
    }
  }

  /**
   * `length` bytes from `position` on, at the start of a buffer of their own.
   *
   * @throws CheckpointError when the file ends before, or cannot be read.
   */
  async read(position: number, length: number): Promise<Uint8Array> {
    this.#requireInside(position, length);
    const bytes = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await this.#handle
        .read(bytes, filled, length - filled, position + filled)
        .catch((cause: unknown) => this.#unreadable(cause));
      if (bytesRead === 0) this.#truncated(position + filled, length - filled);
      filled += bytesRead;
    }
    return bytes;
  }

  /** The same at once, for parsers that walk through a few megabytes byte by byte. */
  readNow(position: number, length: number): Uint8Array {
    this.#requireInside(position, length);
    const bytes = new Uint8Array(length);
    this.fillNow(bytes, position);
    return bytes;
  }

  /**
   * Fills memory that is there already with the bytes from `position` on, at once: new memory takes longer than reading what the system has at hand.
   *
   * @throws CheckpointError when the file ends before, or cannot be read.
   */
  fillNow(bytes: Uint8Array, position: number): void {
    const { byteLength } = bytes;
    let filled = 0;
    while (filled < byteLength) {
      let bytesRead = 0;
      try {
        bytesRead = readSync(this.#handle.fd, bytes, filled, byteLength - filled, position + filled);
      } catch (cause) {
        this.#unreadable(cause);
      }
      if (bytesRead === 0) this.#truncated(position + filled, byteLength - filled);
      filled += bytesRead;
    }
  }

  /** The error for what is wrong with this file. */
  refusal(fault: CheckpointFault, message: string): CheckpointError {
    return new CheckpointError(this.path, message, { fault });
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  /** Checked before memory is taken: a damaged file may promise any number of bytes. */
  #requireInside(position: number, length: number): void {
    if (position + length > this.size) this.#truncated(position, length);
  }

  #truncated(position: number, length: number): never {
    const message = `${length} bytes are expected at byte ${position}, but the file ends before. It is probably incomplete; download it again.`;
    throw this.refusal('truncated', message);
  }

  #unreadable(cause: unknown): never {
    throw new CheckpointError(this.path, `the file cannot be read (${String(cause)}).`, { cause });
  }
}
