/**
 * The paths of the command line as the shell gave them.
 *
 * Node reads arguments as UTF-8 and puts U+FFFD in place of every byte that is none, after which a file with such a name cannot be found.
 * Linux keeps the bytes; macOS and Windows have no such names.
 */
import { readFile } from 'node:fs/promises';

const REPLACEMENT = '\uFFFD';

/** Each path with a replacement character as bytes, and all others as they are. */
export async function restoreBytes(paths: readonly string[]): Promise<(string | Buffer)[]> {
  if (!paths.some((path) => path.includes(REPLACEMENT))) return [...paths];
  return matchArguments(paths, await processArguments());
}

/** Finds the bytes of each path among the arguments. What reads alike is told apart by its order. */
export function matchArguments(paths: readonly string[], given: readonly Buffer[]): (string | Buffer)[] {
  const byText = new Map<string, Buffer[]>();
  for (const bytes of given) {
    const text = bytes.toString();
    if (text.includes(REPLACEMENT)) byText.set(text, [...(byText.get(text) ?? []), bytes]);
  }
  return paths.map((path) => byText.get(path)?.shift() ?? path);
}

async function processArguments(): Promise<Buffer[]> {
  if (process.platform !== 'linux') return [];
  const bytes = await readFile('/proc/self/cmdline');
  const given: Buffer[] = [];
  for (let from = 0; from < bytes.length;) {
    const end = bytes.indexOf(0, from);
    given.push(bytes.subarray(from, end < 0 ? bytes.length : end));
    from = end < 0 ? bytes.length : end + 1;
  }
  return given;
}
