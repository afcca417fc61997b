/**
 * One repository in the hub cache, in the layout that all tools of the hub share:
 *
 *   models--org--name/blobs/ETAG                content, by its checksum
 *   models--org--name/refs/REVISION             the commit that a branch or tag had when it was last asked for
 *   models--org--name/snapshots/COMMIT/FILE     links to the blobs
 *
 * Where a disk has no links, the content itself lies in the snapshot.
 */
import { randomUUID } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { getRepoFolderName } from '@huggingface/hub';
import { systemErrorCode } from '../../errors.ts';

const COMMIT = /^[0-9a-f]{40}$/;

export class RepositoryCache {
  /** The repository's folder, which may not exist yet. */
  readonly folder: string;

  /** @param name `org/name`. */
  constructor(cacheFolder: string, name: string) {
    this.folder = join(cacheFolder, getRepoFolderName({ type: 'model', name }));
  }

  /** The content with this checksum. */
  blob(etag: string): string {
    return join(this.folder, 'blobs', etag);
  }

  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  /** The commit that `revision` stood for when it was last asked for; itself where it is one that is here. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return (await exists(this.snapshot(revision))) ? revision : undefined;
    const text = await readFile(this.#ref(revision), 'utf8').catch(() => '');
    return isCommit(text.trim()) ? text.trim() : undefined;
  }

  /** Remembers which commit `revision` stands for. */
  async rememberCommit(revision: string, commit: string): Promise<void> {
    if (revision === commit) return;
    const path = this.#ref(revision);
    await mkdir(dirname(path), { recursive: true });
    // Other tools read it at any moment: never half a file.
    const temporary = `${path}.${randomUUID()}`;
    await writeFile(temporary, commit);
    await rename(temporary, path);
  }

  /** The files of a snapshot that are really here, with `/`, sorted. */
  async files(commit: string): Promise<string[]> {
    const folder = this.snapshot(commit);
    const entries = await readdir(folder, { recursive: true }).catch((): string[] => []);
    const files: string[] = [];
    for (const entry of entries.toSorted()) {
      const stats = await stat(join(folder, entry)).catch(() => undefined);
      if (stats?.isFile() === true) files.push(entry.replaceAll(sep, '/'));
    }
    return files;
  }

  /** Gives the content with this checksum its name in a snapshot. */
  async place(etag: string, commit: string, path: string): Promise<void> {
    const pointer = join(this.snapshot(commit), path);
    const blob = this.blob(etag);
    await mkdir(dirname(pointer), { recursive: true });
    // A link that leads nowhere is what remains when somebody removed the content.
    await rm(pointer, { force: true });
    try {
      await symlink(relative(dirname(pointer), blob), pointer);
    } catch (error) {
      if (systemErrorCode(error) === 'EEXIST') return;
      await rename(blob, pointer);
    }
  }

  #ref(revision: string): string {
    return join(this.folder, 'refs', revision);
  }
}

export function isCommit(text: string): boolean {
  return COMMIT.test(text);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
