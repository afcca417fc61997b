/**
 * The few questions that discovery asks the system, all with paths in the written form (`image-file.ts`).
 *
 * None of them can hang: a file is opened only when it is a regular one, and in a way that would not wait if it had become something else.
 */
import { constants, type Dirent, type Stats } from 'node:fs';
import { lstat, open, readdir, realpath, stat } from 'node:fs/promises';
import { systemErrorCode } from '../../errors.ts';
import { systemPath, writtenPath } from '../image-file.ts';
import { toPosix } from './named-path.ts';

export type FileKind = 'file' | 'folder' | 'pipe' | 'socket' | 'device';

/** A name in a folder, and what it is, links not followed. */
export type FolderEntry = { name: string; kind: FileKind | 'link' };

/** What a path leads to. `broken-link`: to nothing, or in a circle. `closed`: what it is cannot be seen. */
export type TargetKind = FileKind | 'broken-link' | 'closed';

export interface FileSystem {
  /** @throws the system's error */
  list: (folder: string) => Promise<FolderEntry[]>;
  /** Undefined where there is nothing of that name. */
  targetKind: (path: string) => Promise<TargetKind | undefined>;
  /** The absolute path without links, with `/` between folders, or undefined where it leads nowhere. */
  realPath: (path: string) => Promise<string | undefined>;
  /** At most `length` bytes from the beginning. @throws the system's error */
  readHead: (file: string, length: number) => Promise<Uint8Array>;
}

export const systemFiles: FileSystem = {
  async list(folder) {
    const entries = await readdir(systemPath(folder), { withFileTypes: true });
    if (!entries.some(({ name }) => name.includes('\uFFFD'))) return entries.map(toEntry);
    // Perhaps not what the names are, but what is left of them as text. Bytes cost twice the time, so only now.
    return (await readdir(systemPath(folder), { withFileTypes: true, encoding: 'buffer' })).map(toEntry);
  },

  async targetKind(path) {
    try {
      return kindOf(await stat(systemPath(path))) as FileKind;
    } catch (error) {
      switch (systemErrorCode(error)) {
        case 'ENOENT':
        case 'ELOOP':
          return (await exists(path)) ? 'broken-link' : undefined;
        case 'ENOTDIR':
        case 'ENAMETOOLONG':
        case 'EINVAL':
        case 'ERR_INVALID_ARG_VALUE':
          return undefined;
        default:
          return 'closed';
      }
    }
  },

  async realPath(path) {
    try {
      return toPosix(writtenPath(await realpath(systemPath(path), 'buffer')));
    } catch {
      return undefined;
    }
  },

  async readHead(file, length) {
    const handle = await open(systemPath(file), constants.O_RDONLY | NEVER_WAIT);
    try {
      const { buffer, bytesRead } = await handle.read(new Uint8Array(length), 0, length, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  },
};

/** Opening a pipe returns at once. Windows knows no such flag and no such pipes. */
export const NEVER_WAIT: number = process.platform === 'win32' ? 0 : constants.O_NONBLOCK;

function toEntry(entry: Dirent | Dirent<Buffer>): FolderEntry {
  return { name: writtenPath(entry.name), kind: kindOf(entry) };
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(systemPath(path));
    return true;
  } catch {
    return false;
  }
}

function kindOf(
  found: Pick<Stats, 'isFile' | 'isDirectory' | 'isSymbolicLink' | 'isFIFO' | 'isSocket'>,
): FileKind | 'link' {
  if (found.isFile()) return 'file';
  if (found.isDirectory()) return 'folder';
  if (found.isSymbolicLink()) return 'link';
  if (found.isFIFO()) return 'pipe';
  return found.isSocket() ? 'socket' : 'device';
}
