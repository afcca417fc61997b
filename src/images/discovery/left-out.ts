/** What was met in folders and is not among the images of the run, so that nothing is left out in silence. */
import { endingOf } from './endings.ts';

/** A path that is left out, and why, in a few words. */
export type LeftOutPath = { path: string; reason: string };

/** Kinds of files that are named in the sentence; the rest is counted together. */
const NAMED_KINDS = 6;
/** A longer ending is part of a name, such as that of `photo.2024-01-01 at noon`. */
const LONGEST_ENDING = 12;

export class LeftOut {
  readonly #paths: LeftOutPath[] = [];
  readonly #counts = new Map<string, number>();

  /** A file that is no image, as far as can be seen without being asked for it by name. It is counted by its ending. */
  addFile(path: string, reason: string): void {
    const ending = endingOf(path);
    this.#count(ending === '' || ending.length > LONGEST_ENDING ? 'without an ending' : ending);
    this.#paths.push({ path, reason });
  }

  /** An image of a hidden name, which is counted apart. */
  addHiddenImage(path: string): void {
    this.#count('hidden');
    this.#paths.push({ path, reason: 'hidden' });
  }

  /** What is left out because the user wants it so. It is listed, but no other file. */
  addUnwanted(path: string, reason: string): void {
    this.#paths.push({ path, reason });
  }

  /** The number of other files. */
  get count(): number {
    let sum = 0;
    for (const count of this.#counts.values()) sum += count;
    return sum;
  }

  /** Everything that is left out, sorted by path. */
  get paths(): readonly LeftOutPath[] {
    return this.#paths.toSorted((a, b) => (a.path < b.path ? -1 : Number(a.path > b.path)));
  }

  /** `7 other files left out: 3 .mov, 4 .txt.`, or undefined where there are none. */
  get sentence(): string | undefined {
    const { count } = this;
    if (count === 0) return undefined;
    const byCount = [...this.#counts].toSorted(([, a], [, b]) => b - a);
    const named = byCount.slice(0, NAMED_KINDS);
    const rest = byCount.slice(NAMED_KINDS).reduce((sum, [, each]) => sum + each, 0);
    const parts = named
      .toSorted(([a], [b]) => order(a) - order(b) || (a < b ? -1 : 1))
      .map(([kind, each]) => `${each} ${kind}`);
    if (rest > 0) parts.push(`${rest} of other kinds`);
    return `${count} other ${count === 1 ? 'file' : 'files'} left out: ${parts.join(', ')}.`;
  }

  #count(kind: string): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
  }
}

/** Endings first. */
function order(kind: string): number {
  return kind.startsWith('.') ? 0 : 1;
}
