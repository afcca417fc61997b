/** The files that lie in a pack's folder, declared or not. */
import { readdir, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';

/**
 * Every file below `directory`, sorted, links followed. Paths are relative to it, with `/`.
 * What vanishes meanwhile, and a link that leads nowhere, is left out.
 */
export async function listFiles(directory: string): Promise<{ path: string; bytes: number }[]> {
  const files: { path: string; bytes: number }[] = [];
  for (const entry of (await readdir(directory, { recursive: true })).toSorted()) {
    const stats = await stat(join(directory, entry)).catch(() => undefined);
    if (stats?.isFile() === true) files.push({ path: entry.replaceAll(sep, '/'), bytes: stats.size });
  }
  return files;
}
