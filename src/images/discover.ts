/**
 * Turns what the user named (files, folders, patterns, lists) into the list of images of the run.
 *
 * Names are hostile to patterns: a photo may be called `beach [1] (copy)*.jpg`. So a path that exists is always that path, folders are
 * walked directly instead of through a pattern, and only a name that does not exist is tried as a pattern.
 */
import { dirname, resolve } from 'node:path';
import type { FileList } from './file-list.ts';
import { inBatches } from './discovery/batches.ts';
import { systemFiles, type FileSystem, type TargetKind } from './discovery/file-system.ts';
import { Findings } from './discovery/findings.ts';
import { FolderWalk } from './discovery/folder-walk.ts';
import type { LeftOut } from './discovery/left-out.ts';
import { readName, toPosix } from './discovery/named-path.ts';
import { addMatches, isPattern } from './discovery/pattern-matches.ts';
import { excludeMatcher } from './glob-matcher.ts';
import type { ImageFile } from './image-file.ts';

/** What the user asked for. */
export type DiscoverInputs = {
  /** Files, folders, or patterns; bytes where a name is not UTF-8. */
  paths: readonly (string | Buffer)[];
  /** A list of files or folders, never patterns, since a program wrote them. */
  filesFrom?: FileList;
  /** Whether folders inside named folders are entered. */
  recursive: boolean;
  /** Patterns of paths to leave out (see `excludeMatcher`). */
  exclude: readonly string[];
  signal?: AbortSignal | undefined;
};

export type Discovery = {
  /** The images found, sorted bytewise by path and free of duplicates. */
  files: ImageFile[];
  /** What went wrong on the way, one sentence each. */
  warnings: string[];
  /** Folders whose images are missing because they cannot be read. */
  unreadableFolders: number;
  /** What folders hold beside these images. */
  leftOut: LeftOut;
};

/**
 * Lists the images that `inputs` name.
 *
 * A named file is taken whatever it is, and a name that does not exist is kept, so that it fails as one image instead of silently vanishing.
 * Files that are found in folders, or through a pattern that names no ending, must look like images: by their ending, or where that says
 * nothing by their first bytes.
 *
 * @throws the signal's reason when aborted
 */
export async function discoverImages(inputs: DiscoverInputs, files: FileSystem = systemFiles): Promise<Discovery> {
  const { paths, filesFrom, recursive, exclude, signal } = inputs;
  const findings = new Findings({ files, isExcluded: excludeMatcher(exclude.map(toPosix)), signal });
  const walk = new FolderWalk(findings, recursive);
  const folders = new RealFolders(files);

  const { names: listed, escapedFirst } = filesFrom ?? NO_LIST;
  const named = [
    ...paths.map((name) => ({ name, mayBePattern: true, escapedFirst: false })),
    ...listed.map((name) => ({ name, mayBePattern: false, escapedFirst })),
  ];
  for await (const { item, answer } of inBatches(named, async (each) => locate(each, files), signal)) {
    const { path, kind, pattern } = answer;
    if (kind === 'folder') await walk.walk(path);
    else if (kind !== undefined || !item.mayBePattern || pattern === undefined || !isPattern(pattern)) {
      findings.addImage(path, await folders.of(path));
    } else if (!(await addMatches(pattern, findings, walk, async (match) => folders.of(match)))) {
      findings.warnings.add(`${pattern}: no such file, and as a pattern it matches no image.`);
    }
  }
  return {
    files: findings.found.sorted,
    warnings: [...findings.warnings],
    unreadableFolders: findings.unreadableFolders.size,
    leftOut: findings.leftOut,
  };
}

const NO_LIST: FileList = { names: [], escapedFirst: false };

/** A name's path, and what is there. */
type Located = { path: string; kind: TargetKind | undefined; pattern: string | undefined };

async function locate(named: { name: string | Buffer; escapedFirst: boolean }, files: FileSystem): Promise<Located> {
  const { readings, missing, pattern } = readName(named.name, named.escapedFirst);
  for (const path of readings) {
    const kind = await files.targetKind(path);
    if (kind !== undefined) return { path, kind, pattern };
  }
  return { path: missing, kind: undefined, pattern };
}

/** Real paths of folders, each asked for once. */
class RealFolders {
  readonly #files: FileSystem;
  readonly #known = new Map<string, Promise<string>>();

  constructor(files: FileSystem) {
    this.#files = files;
  }

  /** Of the folder that `path` lies in; where there is none, what it would be called. */
  async of(path: string): Promise<string> {
    const folder = dirname(path);
    let real = this.#known.get(folder);
    if (real === undefined) {
      real = this.#files.realPath(folder).then((found) => found ?? toPosix(resolve(folder)));
      this.#known.set(folder, real);
    }
    return real;
  }
}
