/** The system as fast-glob asks it: with absolute paths and callbacks. Names are in the written form, so that none of them is lost. */
import { lstat, stat } from 'node:fs';
import { resolve } from 'node:path';
import type fastGlob from 'fast-glob';
import { systemErrorCode } from '../../errors.ts';
import { systemPath } from '../image-file.ts';
import type { FolderEntry } from './file-system.ts';
import type { Findings } from './findings.ts';
import { joinPath } from './folder-walk.ts';
import { toPosix } from './named-path.ts';

type Adapter = NonNullable<fastGlob.Options['fs']>;
type Dirent = fastGlob.Entry['dirent'];
type Told<Value> = (error: NodeJS.ErrnoException | null, value: Value) => void;

/**
 * @param cwd what fast-glob gets as `cwd`, in the written form
 * @param findings is told of folders that cannot be read, over which fast-glob goes in silence
 */
export function globFileSystem(cwd: string, findings: Findings): Adapter {
  const root = toPosix(resolve(cwd));
  const inside = root.endsWith('/') ? root : `${root}/`;
  /** Back to a path that begins as the user wrote it. */
  const named = (absolute: string): string => {
    const path = toPosix(absolute);
    if (path === root) return cwd;
    return path.startsWith(inside) ? joinPath(cwd, path.slice(inside.length)) : path;
  };

  async function list(absolute: string): Promise<FolderEntry[]> {
    const folder = named(absolute);
    // The pattern ends quickly when nothing can be listed any more.
    findings.tools.signal?.throwIfAborted();
    try {
      return await findings.tools.files.list(folder);
    } catch (error) {
      if (!['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) findings.addUnreadableFolder(folder, error);
      throw error;
    }
  }

  function readdir(folder: string, options: { withFileTypes: true }, told: Told<Dirent[]>): void;
  function readdir(folder: string, told: Told<string[]>): void;
  function readdir(
    folder: string,
    ...[first, second]: [{ withFileTypes: true }, Told<Dirent[]>] | [Told<string[]>]
  ): void {
    if (second !== undefined) answer(list(folder), (entries) => entries.map(direntOf), second);
    else if (typeof first === 'function') answer(list(folder), (entries) => entries.map(({ name }) => name), first);
  }

  return {
    lstat: (path, told) => lstat(systemPath(named(path)), told),
    stat: (path, told) => stat(systemPath(named(path)), told),
    readdir,
  };
}

function answer<Value>(
  listing: Promise<FolderEntry[]>,
  transform: (entries: FolderEntry[]) => Value[],
  told: Told<Value[]>,
): void {
  void listing.then(
    (entries) => told(null, transform(entries)),
    (error: NodeJS.ErrnoException) => told(error, []),
  );
}

function direntOf({ name, kind }: FolderEntry): Dirent {
  return {
    name,
    isFile: () => kind === 'file',
    isDirectory: () => kind === 'folder',
    isSymbolicLink: () => kind === 'link',
    isFIFO: () => kind === 'pipe',
    isSocket: () => kind === 'socket',
    isBlockDevice: () => kind === 'device',
    isCharacterDevice: () => false,
  };
}
