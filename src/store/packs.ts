/**
 * Where model packs live, and how a user names one.
 *
 * There are two shelves: the packs the user imported, in `models/` of the data folder, and the packs inside this package. An imported pack
 * goes before an embedded one of the same id. A pack may also be named by its folder.
 */
import { readdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PackError, systemErrorCode, UsageError } from '../errors.ts';
import { readPack, type Pack } from '../pack/model-declaration.ts';
import { findKnownModel } from './known-models.ts';
import { listFiles } from './pack-files.ts';
import { isPackId } from './pack-id.ts';

/** A folder on one of the two shelves. */
export type ListedPack = {
  id: string;
  directory: string;
  /** Inside this package, hence never removed. */
  embedded: boolean;
  /** Undefined where `model.json` cannot be read; `error` says why. */
  pack: Pack | undefined;
  error?: string;
  /** Size of all files in the folder. */
  bytes: number;
};

/** Same depth below the package root in `src/store` and `dist/store`. */
const EMBEDDED_PACKS = fileURLToPath(new URL('../../models', import.meta.url));

/**
 * The folder of everything minigpt keeps: `MINIGPT_HOME`, or what the platform has for data of programs.
 * The arguments stand in for the machine in tests.
 */
export function dataFolder(env = process.env, platform = process.platform, home = homedir()): string {
  const chosen = env['MINIGPT_HOME'];
  if (chosen !== undefined && chosen !== '') return resolve(chosen);
  if (platform === 'win32') return join(env['LOCALAPPDATA'] ?? join(home, 'AppData', 'Local'), 'minigpt');
  if (platform === 'darwin') return join(home, 'Library', 'Application Support', 'minigpt');
  const xdg = env['XDG_DATA_HOME'];
  // The XDG specification says that a relative path there is to be ignored.
  return join(xdg !== undefined && isAbsolute(xdg) ? xdg : join(home, '.local', 'share'), 'minigpt');
}

/** Where the packs the user imported live. The folder may not exist yet. */
export function userPacks(): string {
  return join(dataFolder(), 'models');
}

/**
 * Finds the pack a user named, by id or by folder.
 *
 * @throws UsageError when there is none; it lists the ids there are.
 * @throws PackError when it is there but its `model.json` is not valid.
 */
export async function resolvePack(idOrPath: string): Promise<Pack> {
  if (isPackId(idOrPath)) {
    for (const shelf of [userPacks(), EMBEDDED_PACKS]) {
      if (await holdsPack(join(shelf, idOrPath))) return readPack(join(shelf, idOrPath));
    }
  }
  const directory = resolve(idOrPath);
  if (idOrPath !== '' && (await holdsPack(directory))) return readPack(directory);
  if (idOrPath.includes('/') || idOrPath.includes(sep)) {
    throw new UsageError(`${idOrPath}: there is no model pack (a folder with model.json). ${await whatIsThere()}`);
  }
  if ((await findKnownModel(idOrPath)) !== undefined) {
    throw new UsageError(
      `the model ${idOrPath} is not on this computer yet. Download it with: minigpt models pull ${idOrPath}`,
    );
  }
  throw new UsageError(`there is no model called "${idOrPath}". ${await whatIsThere()}`);
}

/** Every pack on both shelves, the user's first, sorted by id. A damaged pack is listed with its error. */
export async function listPacks(): Promise<ListedPack[]> {
  const user = await listShelf(userPacks(), false);
  return [...user, ...(await listShelf(EMBEDDED_PACKS, true))];
}

async function listShelf(shelf: string, embedded: boolean): Promise<ListedPack[]> {
  const packs: ListedPack[] = [];
  for (const id of (await namesIn(shelf)).toSorted()) {
    const directory = join(shelf, id);
    // Names that are no id belong to imports under way; a file between the folders declares a model that can be fetched.
    if (!isPackId(id) || !(await holdsPack(directory))) continue;
    const bytes = (await listFiles(directory)).reduce((sum, file) => sum + file.bytes, 0);
    try {
      packs.push({ id, directory, embedded, pack: await readPack(directory), bytes });
    } catch (error) {
      if (!(error instanceof PackError)) throw error;
      packs.push({ id, directory, embedded, pack: undefined, error: error.message, bytes });
    }
  }
  return packs;
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw new PackError(folder, `the folder of model packs cannot be read (${String(error)}).`, { cause: error });
  }
}

async function holdsPack(directory: string): Promise<boolean> {
  try {
    return (await stat(join(directory, 'model.json'))).isFile();
  } catch {
    return false;
  }
}

async function whatIsThere(): Promise<string> {
  const ids = [...new Set((await listPacks()).map((listed) => listed.id))];
  const here =
    ids.length === 0 ? 'There are no models on this computer yet.' : `Models on this computer: ${ids.join(', ')}.`;
  return `${here} Make one from a checkpoint with: minigpt models import FOLDER --as ID`;
}
