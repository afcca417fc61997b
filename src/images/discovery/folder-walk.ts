/** Walks through folders and the folders inside them. */
import { inBatches } from './batches.ts';
import { meaningOfEnding } from './endings.ts';
import type { FolderEntry } from './file-system.ts';
import type { Findings, MetFile } from './findings.ts';

export class FolderWalk {
  readonly #findings: Findings;
  readonly #recursive: boolean;
  /**
   * The folders that were entered, by their real paths. Each is entered once, so links in a circle end, and folders that link to each other
   * do not multiply.
   */
  readonly #entered = new Map<string, string>();

  constructor(findings: Findings, recursive: boolean) {
    this.#findings = findings;
    this.#recursive = recursive;
  }

  /** Meets every file in `folder`, and below it where the walk is recursive. */
  async walk(folder: string): Promise<void> {
    const { files } = this.#findings.tools;
    // A link to a folder waits until the folders themselves are through: an image that is there twice has the name without the link.
    const links: string[] = [];
    await this.#enter(folder, (await files.realPath(folder)) ?? folder, links);
    // The list grows while it is gone through.
    for (const link of links) {
      const target = await files.realPath(link);
      if (target !== undefined) await this.#enter(link, target, links);
    }
  }

  async #enter(folder: string, realFolder: string, links: string[]): Promise<void> {
    const { leftOut, tools } = this.#findings;
    tools.signal?.throwIfAborted();
    if (folder !== '.' && tools.isExcluded(folder)) {
      leftOut.addUnwanted(folder, '--exclude');
      return;
    }
    const known = this.#entered.get(realFolder);
    if (known !== undefined) {
      if (known !== folder) leftOut.addUnwanted(folder, `the same folder as ${known}`);
      return;
    }
    this.#entered.set(realFolder, folder);
    let entries: FolderEntry[];
    try {
      entries = await tools.files.list(folder);
    } catch (error) {
      this.#findings.addUnreadableFolder(folder, error);
      return;
    }

    const met: MetFile[] = [];
    const folders: string[] = [];
    const unfollowed: string[] = [];
    for (const { name, kind } of entries) {
      const path = joinPath(folder, name);
      if (name.startsWith('.')) this.#leaveHidden(path, name, kind);
      else if (kind === 'folder') folders.push(name);
      else if (kind === 'link') unfollowed.push(path);
      else met.push({ path, kind, realFolder });
    }
    const followed = inBatches(unfollowed.toSorted(), async (path) => tools.files.targetKind(path), tools.signal);
    for await (const { item: path, answer: kind } of followed) {
      // A link that has vanished since is one that leads nowhere.
      if (kind !== 'folder') met.push({ path, kind: kind ?? 'broken-link', realFolder });
      else if (this.#recursive) links.push(path);
      else leftOut.addUnwanted(path, '--no-recursive');
    }
    await this.#findings.addMet(met);

    for (const name of folders.toSorted()) {
      const path = joinPath(folder, name);
      if (this.#recursive) await this.#enter(path, joinPath(realFolder, name), links);
      else leftOut.addUnwanted(path, '--no-recursive');
    }
  }

  #leaveHidden(path: string, name: string, kind: FolderEntry['kind']): void {
    const { leftOut } = this.#findings;
    // macOS keeps what a disk has no place for in a file `._a.jpg` beside `a.jpg`.
    const isImage = kind !== 'folder' && !name.startsWith('._') && meaningOfEnding(name) === 'image';
    if (isImage) leftOut.addHiddenImage(path);
    else leftOut.addUnwanted(path, 'hidden');
  }
}

/** `name` in `folder`, without a `./` at the beginning. */
export function joinPath(folder: string, name: string): string {
  if (folder === '' || folder === '.') return name;
  return folder.endsWith('/') ? folder + name : `${folder}/${name}`;
}
