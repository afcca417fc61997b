/**
 * Where records go: standard output, or a file of the user's.
 *
 * Each `write` hands over whole lines and returns when the system has them, so a slow reader slows the run down and a killed run leaves
 * nothing but complete lines. A reader that has gone away (`| head -1`) is no failure: it is told apart as `ClosedPipe`.
 */
import { constants, type Stats } from 'node:fs';
import { access, open, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { OutputError, systemErrorCode } from '../errors.ts';

/** The reader of our output has closed it. The run ends quietly. */
export class ClosedPipe extends Error {
  override readonly name = 'ClosedPipe';
}

export interface Destination {
  /** How messages call it. */
  readonly name: string;
  open(): Promise<void>;
  /**
   * @throws ClosedPipe when the reader has gone away.
   * @throws OutputError when the system refuses the text.
   */
  write(text: string): Promise<void>;
  close(): Promise<void>;
}

/** Standard output, or any other stream that is already open. */
export class StreamDestination implements Destination {
  readonly name: string;
  readonly #stream: NodeJS.WritableStream;

  constructor(stream: NodeJS.WritableStream, name: string) {
    this.#stream = stream;
    this.name = name;
    // Without a listener a failed write would also be thrown from nowhere; the callback of `write` reports it.
    stream.on('error', () => undefined);
  }

  async open(): Promise<void> {}

  async write(text: string): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        this.#stream.write(text, (error) => (error ? reject(error) : resolve()));
      });
    } catch (error) {
      throw writeFailure(this.name, error);
    }
  }

  /** The stream is not ours to end. */
  async close(): Promise<void> {}
}

/** A file that did not exist before or was empty. */
export class FileDestination implements Destination {
  readonly name: string;
  #handle: FileHandle | undefined;
  /** Bytes of complete lines in the file, where it is a regular file. */
  #bytes = 0;
  #regular = false;

  constructor(path: string) {
    this.name = path;
  }

  async open(): Promise<void> {
    await refuseUnusableTarget(this.name);
    try {
      this.#handle = await open(this.name, 'a');
      this.#regular = (await this.#handle.stat()).isFile();
    } catch (error) {
      throw writeFailure(this.name, error);
    }
  }

  async write(text: string): Promise<void> {
    const bytes = Buffer.from(text);
    try {
      if (this.#handle === undefined) throw new Error('the file is not open');
      // A full disk may take a part of the line before it takes none.
      for (let written = 0; written < bytes.length;) {
        written += (await this.#handle.write(bytes, written)).bytesWritten;
      }
      this.#bytes += bytes.length;
    } catch (error) {
      await this.#dropPartialLine();
      throw writeFailure(this.name, error);
    }
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    try {
      await handle?.close();
    } catch (error) {
      throw writeFailure(this.name, error);
    }
  }

  async #dropPartialLine(): Promise<void> {
    if (!this.#regular) return;
    // The write error is what the user must read; that the clean-up failed as well adds nothing.
    await this.#handle?.truncate(this.#bytes).catch(() => undefined);
  }
}

/**
 * Says before a long run what would fail at its end: the target exists and is not empty, is a folder, or lies in no folder.
 *
 * @throws OutputError
 */
export async function refuseUnusableTarget(path: string): Promise<void> {
  const existing = await statOrUndefined(path);
  const folder = dirname(path);
  if (existing === undefined) {
    if (!(await statOrUndefined(folder))?.isDirectory()) {
      throw new OutputError(path, `the folder ${folder} does not exist. Create it first, or choose another name.`);
    }
  } else if (existing.isDirectory()) {
    throw new OutputError(path, 'this is a folder. Name a file in it.');
  } else if (existing.isFile() && existing.size > 0) {
    throw new OutputError(path, 'the file exists and is not empty. Choose another name or move it away.');
  }
  try {
    await access(existing === undefined ? folder : path, constants.W_OK);
  } catch (error) {
    throw writeFailure(path, error);
  }
}

async function statOrUndefined(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw writeFailure(path, error);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full.',
  EDQUOT: 'the disk quota is used up.',
  EFBIG: 'the file would be larger than the file system allows.',
  EACCES: 'permission denied.',
  EPERM: 'permission denied.',
  EROFS: 'the file system is read-only.',
  EIO: 'the disk reported an input/output error.',
};

function writeFailure(name: string, error: unknown): ClosedPipe | OutputError {
  const code = systemErrorCode(error);
  if (code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED')
    return new ClosedPipe('the reader closed it', { cause: error });
  const known = code === undefined ? undefined : REASONS[code];
  const reason = known ?? `${error instanceof Error ? error.message : String(error)}.`;
  return new OutputError(name, `cannot write: ${reason}`, { cause: error });
}
