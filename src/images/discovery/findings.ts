/** What becomes of each file that is met: an image of the run, or left out with a reason. */
import { systemErrorCode } from '../../errors.ts';
import type { PathMatcher } from '../glob-matcher.ts';
import { inBatches } from './batches.ts';
import { looksLikeImage } from './content.ts';
import { meaningOfEnding } from './endings.ts';
import type { FileSystem, TargetKind } from './file-system.ts';
import { FoundFiles } from './found-files.ts';
import { LeftOut } from './left-out.ts';

/** A file that nobody named, but a folder holds, or a pattern matches. */
export type MetFile = { path: string; kind: Exclude<TargetKind, 'folder'>; realFolder: string };

export type DiscoveryTools = { files: FileSystem; isExcluded: PathMatcher; signal: AbortSignal | undefined };

const NO_FILES: Readonly<Record<Exclude<MetFile['kind'], 'file'>, string>> = {
  pipe: 'a named pipe',
  socket: 'a socket',
  device: 'a device',
  'broken-link': 'a link that leads nowhere',
  closed: 'what it is cannot be seen',
};

export class Findings {
  readonly found = new FoundFiles();
  readonly leftOut = new LeftOut();
  readonly warnings = new Set<string>();
  readonly unreadableFolders = new Set<string>();
  readonly tools: DiscoveryTools;

  constructor(tools: DiscoveryTools) {
    this.tools = tools;
  }

  /** Takes a file for an image of the run, unless the user has excluded it. */
  addImage(path: string, realFolder: string): void {
    if (this.#isExcluded(path)) return;
    const known = this.found.add(path, realFolder);
    if (known !== undefined && known !== path) this.leftOut.addUnwanted(path, `the same file as ${known}`);
  }

  /**
   * Takes those files that are images by their ending, or else by their first bytes. What looks like an image by its ending is taken even
   * where it cannot be read, so that its record says why.
   *
   * @returns the number of images among them
   */
  async addMet(met: readonly MetFile[]): Promise<number> {
    let images = 0;
    const unknown: MetFile[] = [];
    for (const file of met) {
      const meaning = meaningOfEnding(file.path);
      if (meaning === 'image') {
        this.addImage(file.path, file.realFolder);
        images += 1;
      } else if (!this.#isExcluded(file.path)) {
        if (meaning === 'other') this.leftOut.addFile(file.path, 'no image');
        else if (file.kind === 'file') unknown.push(file);
        else this.leftOut.addFile(file.path, NO_FILES[file.kind]);
      }
    }
    const looked = inBatches(unknown, async ({ path }) => this.#lookInto(path), this.tools.signal);
    for await (const { item, answer } of looked) {
      if (answer === 'image') {
        this.addImage(item.path, item.realFolder);
        images += 1;
      } else this.leftOut.addFile(item.path, answer);
    }
    return images;
  }

  addUnreadableFolder(folder: string, error: unknown): void {
    if (this.unreadableFolders.has(folder)) return;
    this.unreadableFolders.add(folder);
    this.warnings.add(`${folder}: the folder cannot be read (${reasonOf(error)}), so its images are left out.`);
  }

  #isExcluded(path: string): boolean {
    const excluded = this.tools.isExcluded(path);
    if (excluded) this.leftOut.addUnwanted(path, '--exclude');
    return excluded;
  }

  /** @returns `image`, or why the file is none */
  async #lookInto(path: string): Promise<string> {
    try {
      return (await looksLikeImage(path, this.tools.files)) ? 'image' : 'its content is no image';
    } catch (error) {
      return `it cannot be read (${reasonOf(error)})`;
    }
  }
}

function reasonOf(error: unknown): string {
  const code = systemErrorCode(error);
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  return code === 'ENOENT' ? 'it is gone' : (code ?? String(error));
}
