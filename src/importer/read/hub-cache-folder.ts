/**
 * A repository's folder in the hub cache as a source. It is no checkpoint itself: `refs/` says which commit a branch stands for, and the files of
 * a commit lie in `snapshots/COMMIT/`.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError } from '../../errors.ts';
import { quoted } from './quoted.ts';
import { readSmallFile } from './small-file.ts';

/** The branch that a repository is read from where nobody says another. */
const MAIN = 'main';

/**
 * The folder with the files, for the folder of a repository in the hub cache: what `refs/main` stands for, or the only snapshot there is. Any
 * other folder is returned as it is.
 *
 * @throws CheckpointError when the snapshot is not there, or several are and nothing says which.
 */
export async function snapshotFolder(path: string): Promise<string> {
  const entries = await readdir(path);
  if (!entries.includes('snapshots') || entries.includes('config.json')) {
    refuseWholeCache(path, entries);
    return path;
  }
  const snapshots = (await readdir(join(path, 'snapshots'))).toSorted();
  const commit = (await readSmallFile(join(path, 'refs', MAIN)))?.toString('utf8').trim();
  if (commit !== undefined && snapshots.includes(commit)) return join(path, 'snapshots', commit);
  const [only] = snapshots;
  if (commit === undefined && only !== undefined && snapshots.length === 1) return join(path, 'snapshots', only);
  const found = snapshots.length === 0 ? 'there is none' : `there are ${snapshots.join(', ')}`;
  const wanted =
    commit === undefined
      ? `this repository of the hub cache has no refs/${MAIN}, and of snapshots ${found}.`
      : `refs/${MAIN} of this repository of the hub cache stands for the snapshot ${quoted(commit)}, but of snapshots ${found}.`;
  throw new CheckpointError(path, `${wanted} Download the model again, or give the folder of one of its snapshots.`);
}

/** @throws CheckpointError for the folder in which all repositories lie. */
function refuseWholeCache(path: string, entries: readonly string[]): void {
  const repositories = entries.filter((name) => name.startsWith('models--')).toSorted();
  const [first] = repositories;
  if (first === undefined || entries.includes('config.json')) return;
  throw new CheckpointError(
    path,
    `this is a hub cache with ${repositories.length} models. Give the folder of one of them, such as ${join(path, first)}.`,
  );
}
