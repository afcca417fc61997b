/** Keeps tests of the built program from testing old code: they run `dist/`, which `npm run build` makes of `src/`. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';

const ROOT = join(import.meta.dirname, '..');

/**
 * @param root folder of the package, this one unless told otherwise
 * @throws Error where `dist/` is missing, or a file of it is older than one of `src/`
 */
export function requireFreshBuild(root = ROOT): void {
  const [built, sources] = [changedFiles(join(root, 'dist'), '.js'), changedFiles(join(root, 'src'), '.ts')];
  if (built.length === 0) throw new Error('dist/ is not there: run npm run build');
  const oldest = Math.min(...built.map(({ changed }) => changed));
  const newer = sources.find(({ changed }) => changed > oldest);
  if (newer !== undefined) throw new Error(`dist/ is older than ${relative(root, newer.path)}: run npm run build`);
}

/** The files of a folder with this ending, and when they were last changed (milliseconds); none where there is no such folder. */
function changedFiles(folder: string, ending: string): { path: string; changed: number }[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name))
    .map((path) => ({ path, changed: statSync(path).mtimeMs }));
}
