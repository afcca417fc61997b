/**
 * Takes a pack of the user's away: it loses its name first, in one step, so that no half pack is ever found, and then its files go.
 *
 * A process that is killed in between leaves a folder `.ID.removing-…`; the next removal of that id clears it.
 */
import { randomUUID } from 'node:crypto';
import { lstat, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { OutputError, systemErrorCode, UsageError } from '../errors.ts';
import { listPacks, type ListedPack } from './packs.ts';

/**
 * Finds the pack that may be removed under `id`: one of the user's, damaged ones included.
 *
 * @throws UsageError when there is none, or only one that belongs to the program.
 */
export async function findRemovablePack(id: string): Promise<ListedPack> {
  const packs = await listPacks();
  const found = packs.find((listed) => listed.id === id && !listed.embedded);
  if (found !== undefined) return found;
  if (packs.some((listed) => listed.id === id)) {
    throw new UsageError(`${id} is part of minigpt and cannot be removed.`);
  }
  const ids = packs.filter((listed) => !listed.embedded).map((listed) => listed.id);
  const here = ids.length === 0 ? 'No model can be removed.' : `You can remove: ${ids.join(', ')}.`;
  throw new UsageError(`there is no model called "${id}" to remove. ${here}`);
}

/**
 * Removes the folder of a pack. Of a link only the link goes; what it leads to stays.
 *
 * @returns the bytes that were freed.
 * @throws OutputError when the folder cannot be moved or emptied.
 */
export async function removePack({ directory }: ListedPack): Promise<number> {
  const aside = join(dirname(directory), `.${basename(directory)}.removing-${randomUUID()}`);
  try {
    await rename(directory, aside);
  } catch (cause) {
    throw new OutputError(directory, `the pack cannot be removed (${String(cause)}).`, { cause });
  }
  try {
    const freed = await sizeOnDisk(aside);
    await rm(aside, { recursive: true, force: true, maxRetries: 3 });
    await clearLeftovers(directory);
    return freed;
  } catch (cause) {
    throw new OutputError(aside, `the pack is no longer used, but its files cannot be deleted (${String(cause)}).`, {
      cause,
    });
  }
}

async function clearLeftovers(directory: string): Promise<void> {
  const beginning = `.${basename(directory)}.removing-`;
  for (const name of await readdir(dirname(directory))) {
    if (name.startsWith(beginning))
      await rm(join(dirname(directory), name), { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Bytes of the files below a folder; links count nothing. */
async function sizeOnDisk(path: string): Promise<number> {
  const stats = await lstat(path);
  if (stats.isFile()) return stats.size;
  if (!stats.isDirectory()) return 0;
  let bytes = 0;
  for (const name of await readdir(path)) {
    bytes += await sizeOnDisk(join(path, name)).catch((error: unknown) => {
      if (systemErrorCode(error) === 'ENOENT') return 0;
      throw error;
    });
  }
  return bytes;
}
