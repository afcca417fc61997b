/** The files that a pattern matches. */
import fastGlob from 'fast-glob';
import { writtenPath } from '../image-file.ts';
import { inBatches } from './batches.ts';
import type { FileSystem, FolderEntry, TargetKind } from './file-system.ts';
import type { Findings, MetFile } from './findings.ts';
import { joinPath, type FolderWalk } from './folder-walk.ts';
import { globFileSystem } from './glob-file-system.ts';

/** Whether `name` could be a pattern at all. */
export function isPattern(name: string): boolean {
  return name !== '' && fastGlob.isDynamicPattern(name);
}

/**
 * Adds what `pattern` matches, and walks through folders that it matches, as if the shell had expanded it.
 *
 * Files must look like images, unless the pattern names an ending: then the user wants them.
 *
 * @param realFolderOf the real path of the folder that a path lies in
 * @returns whether anything was found
 */
export async function addMatches(
  pattern: string,
  findings: Findings,
  walk: FolderWalk,
  realFolderOf: (path: string) => Promise<string>,
): Promise<boolean> {
  const { files, signal } = findings.tools;
  const { folder, rest } = await splitExistingFolder(pattern, files);
  const matches = await matchesIn(folder, rest, findings);
  const namesEnding = /\.[^./*?[\]{}()!+@\\]+$/.test(rest);
  let found = false;
  const met: MetFile[] = [];
  const kinds = inBatches(matches, async ({ path, kind }) => (kind === 'link' ? files.targetKind(path) : kind), signal);
  for await (const { item, answer } of kinds) {
    const kind: TargetKind = answer ?? 'broken-link';
    if (kind === 'folder') {
      // `**` has listed what is inside already.
      if (rest.includes('**')) continue;
      await walk.walk(item.path);
      found = true;
    } else {
      const realFolder = await realFolderOf(item.path);
      if (namesEnding) {
        findings.addImage(item.path, realFolder);
        found = true;
      } else met.push({ path: item.path, kind, realFolder });
    }
  }
  return (await findings.addMet(met)) > 0 || found;
}

type Match = { path: string; kind: FolderEntry['kind'] };

async function matchesIn(folder: string, rest: string, findings: Findings): Promise<Match[]> {
  const { signal } = findings.tools;
  const cwd = folder === '' ? '.' : folder;
  const stream = fastGlob.stream(toFastGlob(rest), {
    cwd,
    onlyFiles: false,
    objectMode: true,
    // Through `**` that does not end where folders link to each other.
    followSymbolicLinks: !rest.includes('**'),
    // Folders that cannot be read are told by the file system below.
    suppressErrors: true,
    fs: globFileSystem(cwd, findings),
  });
  const matches: Match[] = [];
  for await (const entry of stream as AsyncIterable<fastGlob.Entry>) {
    matches.push({ path: joinPath(folder, entry.path), kind: kindOf(entry.dirent) });
  }
  signal?.throwIfAborted();
  // In an order of its own, so that of two names for one image always the same one stays.
  return matches.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

/** The longest beginning of a pattern that exists as a folder is meant literally, also with brackets in its name. */
async function splitExistingFolder(pattern: string, files: FileSystem): Promise<{ folder: string; rest: string }> {
  let folder = '';
  let rest = pattern;
  for (;;) {
    const slash = rest.indexOf('/');
    if (slash < 0) return { folder, rest };
    const next = folder + writtenPath(rest.slice(0, slash + 1));
    if ((await files.targetKind(next)) !== 'folder') return { folder, rest };
    folder = next;
    rest = rest.slice(slash + 1);
  }
}

/** A leading `!` would negate the pattern, and fast-glob overlooks a lone `?` in the name of a folder, but not a class. */
function toFastGlob(pattern: string): string {
  return pattern.replace(/^!(?!\()/, String.raw`\!`).replaceAll(/\\[^]|\[[^\]]*\]|\?(?!\()/g, (token, at: number) => {
    if (token !== '?') return token;
    // Unlike `?`, a class would match the dot of a hidden name.
    return at === 0 || pattern[at - 1] === '/' ? '[!./]' : '[!/]';
  });
}

function kindOf(dirent: fastGlob.Entry['dirent']): FolderEntry['kind'] {
  if (dirent.isSymbolicLink()) return 'link';
  if (dirent.isDirectory()) return 'folder';
  if (dirent.isFile()) return 'file';
  if (dirent.isFIFO()) return 'pipe';
  return dirent.isSocket() ? 'socket' : 'device';
}
