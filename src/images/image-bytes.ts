/**
 * Reads an image file into memory, and says in the user's words why it cannot be read.
 *
 * The decoder gets bytes instead of a path: libvips gives `[…]` at the end of a file name a meaning of its own, and from bytes that stay
 * the same a failure can be explained.
 */
import { constants, type Stats } from 'node:fs';
import { lstat, open, readlink, stat, type FileHandle } from 'node:fs/promises';
import { ImageError, systemErrorCode } from '../errors.ts';
import { NEVER_WAIT } from './discovery/file-system.ts';
import { isAddress } from './discovery/named-path.ts';
import { formatCount } from './format-count.ts';
import { writtenPath } from './image-file.ts';

/** More than any image needs; one read of Node takes no more than 2 GiB. */
const MAX_FILE_BYTES = 2 ** 31 - 1;

/**
 * Reads the whole file.
 *
 * @param path as the system has it (see `systemPath`)
 * @throws ImageError when it is missing, closed to us, empty, too large, or no regular file.
 */
export async function readImageBytes(path: string | Buffer, signal?: AbortSignal): Promise<Buffer> {
  let handle: FileHandle | undefined;
  try {
    refuseStandardInput(path);
    // Asked before opening, because opening a device may do something to it.
    refuseUnreadable(await stat(path));
    handle = await open(path, constants.O_RDONLY | NEVER_WAIT);
    // Asked again, because the name may lead to something else by this time.
    refuseUnreadable(await handle.stat());
    const bytes = await handle.readFile({ signal });
    if (bytes.length === 0) throw new ImageError('empty-file', 'the file is empty (0 bytes).');
    return bytes;
  } catch (error) {
    throw signal?.aborted === true ? signal.reason : await asImageError(path, error);
  } finally {
    await handle?.close();
  }
}

/** Under this name it would be a file, a pipe or a terminal, as it happens. */
function refuseStandardInput(path: string | Buffer): void {
  if (path !== '/dev/stdin') return;
  throw new ImageError(
    'unreadable-image',
    'an image cannot be read from standard input. Save it in a file, and name that.',
  );
}

function refuseUnreadable(stats: Stats): void {
  if (stats.isDirectory()) throw new ImageError('unsupported-format', 'this is a folder, not an image file.');
  if (!stats.isFile()) throw new ImageError('unreadable-image', `this is ${kindOf(stats)}, not an image file.`);
  if (stats.size > MAX_FILE_BYTES) {
    throw new ImageError(
      'image-too-large',
      `the file has ${formatCount(stats.size)} bytes; at most 2 GiB can be read.`,
    );
  }
}

function kindOf(stats: Stats): string {
  if (stats.isFIFO()) return 'a pipe';
  return stats.isSocket() ? 'a socket' : 'a device';
}

async function asImageError(path: string | Buffer, cause: unknown): Promise<unknown> {
  if (cause instanceof ImageError) return cause;
  switch (systemErrorCode(cause)) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ELOOP':
    case 'ENAMETOOLONG':
    case 'ERR_INVALID_ARG_VALUE':
      return new ImageError('file-not-found', await explainMissing(path), { cause });
    case 'EACCES':
    case 'EPERM':
      return new ImageError('permission-denied', 'the file cannot be read (permission denied).', { cause });
    case 'ENXIO':
      return new ImageError('unreadable-image', 'this is a socket or a device, not an image file.', { cause });
    case undefined:
      return cause;
    default:
      return new ImageError('unreadable-image', `the file cannot be read (${String(systemErrorCode(cause))}).`, {
        cause,
      });
  }
}

/** Why there is no such file, where its name says it. */
async function explainMissing(path: string | Buffer): Promise<string> {
  const name = path.toString();
  if (name === '') return 'the path is empty.';
  if (name === '-') {
    return 'there is no such file, and "-" does not stand for standard input here. A list of paths is read from it with --files-from -.';
  }
  if (/^https?:/i.test(name) && isAddress(name)) {
    return 'this is the address of a web page, and only files are read. Download the image first.';
  }
  if (isAddress(name))
    return 'this is an address, and only files of this computer are read. Give the path of the file.';
  if (name.startsWith('~')) return 'there is no such file. Only "~/" stands for a home folder: your own.';
  if (/^(["']).*\1$/s.test(name)) return 'there is no such file. Write the path without quotation marks.';
  const target = await linkTarget(path);
  if (target === undefined) return 'there is no such file.';
  return `this is a link to ${target.path}, ${target.loops ? 'which leads back to the link' : 'which does not exist'}.`;
}

/** Where a link leads that cannot be followed; undefined for what is no link. */
async function linkTarget(path: string | Buffer): Promise<{ path: string; loops: boolean } | undefined> {
  try {
    if (!(await lstat(path)).isSymbolicLink()) return undefined;
    const target = writtenPath(await readlink(path, 'buffer'));
    const loops = await stat(path).then(
      () => false,
      (error: unknown) => systemErrorCode(error) === 'ELOOP',
    );
    return { path: target, loops };
  } catch {
    return undefined;
  }
}
