/**
 * Puts a new pack in its place, whole or not at all: it is built in a folder of its own beside the place and renamed at the end.
 *
 * A process that is killed may leave that folder behind (`.ID.importing-…`); it is never taken for a pack.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { OutputError, systemErrorCode, UsageError } from '../errors.ts';
import { readPack } from '../pack/model-declaration.ts';
import { requirePackId } from './pack-id.ts';
import { userPacks } from './packs.ts';

/**
 * Makes a pack with `build`, which fills the folder it is given, `model.json` included.
 *
 * @param options.into The folder the pack becomes; by default `id` among the user's packs.
 * @returns the pack's folder.
 * @throws UsageError when the id is not possible or the folder exists; what `build` throws; PackError when it built no valid pack.
 */
export async function installPack(
  id: string,
  build: (temporaryDirectory: string) => Promise<void>,
  options: { into?: string } = {},
): Promise<string> {
  requirePackId(id);
  const target = resolve(options.into ?? join(userPacks(), id));
  if (await exists(target)) throw alreadyThere(target);
  const temporary = await makeFolderBeside(target);
  try {
    await build(temporary);
    // Reading it back keeps a mistake of the builder out of the place where only whole packs are.
    await readPack(temporary);
    await moveIntoPlace(temporary, target);
  } catch (error) {
    // What went wrong matters more than a folder that cannot be removed.
    await rm(temporary, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
    throw error;
  }
  return target;
}

async function makeFolderBeside(target: string): Promise<string> {
  try {
    await mkdir(dirname(target), { recursive: true });
    const temporary = join(dirname(target), `.${basename(target)}.importing-${randomUUID()}`);
    // Not mkdtemp: its folders are closed to other users, and this one becomes the pack.
    await mkdir(temporary);
    return temporary;
  } catch (cause) {
    throw new OutputError(dirname(target), `the folder cannot be created (${String(cause)}).`, { cause });
  }
}

async function moveIntoPlace(temporary: string, target: string): Promise<void> {
  try {
    await rename(temporary, target);
  } catch (cause) {
    if (await exists(target)) throw alreadyThere(target);
    throw new OutputError(target, `the finished pack cannot be moved to this place (${String(cause)}).`, { cause });
  }
}

function alreadyThere(target: string): UsageError {
  return new UsageError(`${target} already exists. Choose another id, or remove it first.`);
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    return systemErrorCode(error) !== 'ENOENT';
  }
}
