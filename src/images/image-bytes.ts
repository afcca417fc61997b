/**
 * Reads an image file into memory, and says in the user's words why it cannot be read.
 *
 * The decoder gets bytes instead of a path: libvips gives `[…]` at the end of a file name a meaning of its own, and from bytes that stay
 * the same a failure can be explained.
 */
import { open, stat, type FileHandle } from 'node:fs/promises';
import { ImageError, systemErrorCode } from '../errors.ts';
import { formatCount } from './format-count.ts';

/** More than any image needs; one read of Node takes no more than 2 GiB. */
const MAX_FILE_BYTES = 2 ** 31 - 1;

/**
 * Reads the whole file.
 *
 * @throws ImageError when it is missing, closed to us, empty, too large, or no regular file.
 */
export async function readImageBytes(path: string, signal?: AbortSignal): Promise<Buffer> {
  let handle: FileHandle | undefined;
  try {
    // Asked before opening, because opening a named pipe waits for its writer.
    const stats = await stat(path);
    if (stats.isDirectory()) throw new ImageError('unsupported-format', 'this is a folder, not an image file.');
    if (!stats.isFile()) throw new ImageError('unsupported-format', 'this is a device or a pipe, not an image file.');
    if (stats.size > MAX_FILE_BYTES) {
      throw new ImageError(
        'image-too-large',
        `the file has ${formatCount(stats.size)} bytes; at most 2 GiB can be read.`,
      );
    }
    handle = await open(path, 'r');
    const bytes = await handle.readFile({ signal });
    if (bytes.length === 0) throw new ImageError('empty-file', 'the file is empty (0 bytes).');
    return bytes;
  } catch (error) {
    throw signal?.aborted === true ? signal.reason : asImageError(error);
  } finally {
    await handle?.close();
  }
}

function asImageError(cause: unknown): unknown {
  if (cause instanceof ImageError) return cause;
  switch (systemErrorCode(cause)) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ELOOP':
    case 'ENAMETOOLONG':
    case 'ERR_INVALID_ARG_VALUE':
      return new ImageError('file-not-found', 'there is no such file.', { cause });
    case 'EACCES':
    case 'EPERM':
      return new ImageError('permission-denied', 'the file cannot be read (permission denied).', { cause });
    case undefined:
      return cause;
    default:
      return new ImageError('unreadable-image', `the file cannot be read (${String(systemErrorCode(cause))}).`, {
        cause,
      });
  }
}
