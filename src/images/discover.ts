/**
 * Turns what the user named (files, folders, patterns, lists) into the list of images of the run.
 *
 * Names are hostile to patterns: a photo may be called `beach [1] (copy)*.jpg`. So a path that exists is always that path, folders are
 * walked directly instead of through a pattern, and only a name that does not exist is tried as a pattern.
 */
import { readdir, realpath, stat } from 'node:fs/promises';
import type { Dirent, Stats } from 'node:fs';
import { sep } from 'node:path';
import fastGlob from 'fast-glob';
import { systemErrorCode } from '../errors.ts';
import { excludeMatcher, type PathMatcher } from './glob-matcher.ts';
import type { ImageFile } from './image-file.ts';

/** What the user asked for. */
export type DiscoverInputs = {
  /** Files, folders, or patterns. */
  paths: readonly string[];
  /** Entries of a list: files or folders, never patterns, since a program wrote them. */
  filesFrom?: readonly string[];
  /** Whether folders inside named folders are entered. */
  recursive: boolean;
  /** Patterns of paths to leave out (see `excludeMatcher`). */
  exclude: readonly string[];
};

/** The images found, sorted bytewise by path and free of duplicates, and what had to be left out on the way. */
export type Discovery = { files: ImageFile[]; warnings: string[] };

const IMAGE_ENDING = /\.(?:jpe?g|jpe|jfif|png|webp|avif|gif|tiff?|svg)$/i;

/**
 * Lists the images that `inputs` name.
 *
 * A named file is taken whatever its ending, and a name that does not exist is kept, so that it fails as one image instead of silently
 * vanishing. Only files found in folders, or through a pattern that names no ending, must look like images by their ending.
 */
export async function discoverImages(inputs: DiscoverInputs): Promise<Discovery> {
  const listing = new Listing(inputs.recursive, excludeMatcher(inputs.exclude.map(toPosix)));
  for (const path of inputs.paths) await listing.addNamed(path, true);
  for (const path of inputs.filesFrom ?? []) await listing.addNamed(path, false);
  return listing.result();
}

/** Where a walk stands: the real folders that lead here, the current one last, to notice a link back to one of them. */
type Trail = { ancestors: readonly string[]; throughLink: boolean };

class Listing {
  readonly #recursive: boolean;
  readonly #isExcluded: PathMatcher;
  readonly #paths = new Set<string>();
  readonly #warnings = new Set<string>();
  /** Targets of links that were met behind another link. Each is entered once, or folders that link to each other would multiply. */
  readonly #nestedTargets = new Set<string>();

  constructor(recursive: boolean, isExcluded: PathMatcher) {
    this.#recursive = recursive;
    this.#isExcluded = isExcluded;
  }

  result(): Discovery {
    const keyed = Array.from(this.#paths, (path) => ({ path, bytes: Buffer.from(path) }));
    keyed.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
    return { files: keyed.map(({ path }) => ({ path })), warnings: [...this.#warnings] };
  }

  async addNamed(named: string, mayBePattern: boolean): Promise<void> {
    const path = normalise(named);
    const stats = await statOrUndefined(path);
    if (stats?.isDirectory()) await this.#walkNamedFolder(path);
    else if (stats === undefined && mayBePattern && path !== '' && fastGlob.isDynamicPattern(path))
      await this.#addMatches(path);
    else this.#add(path);
  }

  #add(path: string): void {
    if (!this.#isExcluded(path)) this.#paths.add(path);
  }

  async #walkNamedFolder(folder: string): Promise<void> {
    const target = await realpath(folder).catch(() => folder);
    await this.#walk(folder, { ancestors: [target], throughLink: false });
  }

  async #walk(folder: string, trail: Trail): Promise<void> {
    if (folder !== '.' && this.#isExcluded(folder)) return;
    let entries: Dirent[];
    try {
      entries = await readdir(folder, { withFileTypes: true });
    } catch (error) {
      const reason = systemErrorCode(error) === 'EACCES' ? 'permission denied' : (systemErrorCode(error) ?? 'unknown');
      this.#warnings.add(`${printable(folder)}: the folder cannot be read (${reason}), so its images are left out.`);
      return;
    }
    // Sorted, because which of several links to one folder is followed depends on the order.
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      if (!entry.name.startsWith('.')) await this.#addEntry(join(folder, entry.name), entry, trail);
    }
  }

  async #addEntry(path: string, entry: Dirent, trail: Trail): Promise<void> {
    const kind: Dirent | Stats | undefined = entry.isSymbolicLink() ? await statOrUndefined(path) : entry;
    if (kind?.isFile()) {
      if (IMAGE_ENDING.test(path)) this.#add(path);
    } else if (kind?.isDirectory() && this.#recursive) {
      if (entry.isSymbolicLink()) await this.#followLink(path, trail);
      else
        await this.#walk(path, {
          ...trail,
          ancestors: [...trail.ancestors, join(trail.ancestors.at(-1) ?? '', entry.name)],
        });
    }
  }

  async #followLink(path: string, trail: Trail): Promise<void> {
    const target = await realpath(path).catch(() => undefined);
    if (target === undefined || trail.ancestors.includes(target)) return;
    if (trail.throughLink) {
      if (this.#nestedTargets.has(target)) return;
      this.#nestedTargets.add(target);
    }
    await this.#walk(path, { ancestors: [...trail.ancestors, target], throughLink: true });
  }

  async #addMatches(pattern: string): Promise<void> {
    const { folder, rest } = await splitExistingFolder(pattern);
    const matches = await fastGlob(toFastGlob(rest), {
      cwd: folder === '' ? '.' : folder,
      onlyFiles: false,
      // Following links through `**` does not end where folders link to each other.
      followSymbolicLinks: false,
      suppressErrors: true,
    });
    const namesEnding = /\.[^./*?[\]{}()!+@\\]+$/.test(rest);
    let found = false;
    for (const match of matches) {
      const path = join(folder, match);
      const stats = await statOrUndefined(path);
      if (stats?.isDirectory()) {
        // As if the shell had expanded the pattern. `**` has listed what is inside already.
        if (rest.includes('**')) continue;
        await this.#walkNamedFolder(path);
        found = true;
      } else if (namesEnding || IMAGE_ENDING.test(path)) {
        this.#add(path);
        found = true;
      }
    }
    if (!found) {
      this.#warnings.add(`${printable(pattern)}: no such file, and as a pattern it matches no image.`);
    }
  }
}

/** The longest beginning of a pattern that exists as a folder is meant literally, also with brackets in its name. */
async function splitExistingFolder(pattern: string): Promise<{ folder: string; rest: string }> {
  let folder = '';
  let rest = pattern;
  for (;;) {
    const slash = rest.indexOf('/');
    if (slash < 0) return { folder, rest };
    const next = folder + rest.slice(0, slash + 1);
    if (!(await statOrUndefined(next))?.isDirectory()) return { folder, rest };
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

/** One spelling per path: `/` between folders, no `./`, no doubled or trailing slash. `..` stays, as removing it is wrong behind links. */
function normalise(path: string): string {
  if (path === '') return path;
  const posix = toPosix(path);
  // On Windows also `C:/` and `//server`.
  const root = (sep === '\\' ? /^(?:[A-Za-z]:\/|\/\/?)/ : /^\//).exec(posix)?.[0] ?? '';
  const segments = posix.slice(root.length).split('/');
  const kept = segments.filter((segment) => segment !== '' && segment !== '.').join('/');
  return root + kept === '' ? '.' : root + kept;
}

/** A backslash separates folders on Windows only; elsewhere it is a character of a name. */
function toPosix(path: string): string {
  return sep === '\\' ? path.replaceAll('\\', '/') : path;
}

function join(folder: string, name: string): string {
  if (folder === '' || folder === '.') return name;
  return folder.endsWith('/') ? folder + name : `${folder}/${name}`;
}

/** Undefined also where a folder on the way is closed to us or the name is no possible name: reading the file will say why. */
async function statOrUndefined(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch {
    return undefined;
  }
}

/** A warning is one line of text, whatever the name contains. */
function printable(path: string): string {
  return path.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, (character) => {
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
  });
}
