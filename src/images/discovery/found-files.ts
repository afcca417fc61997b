/**
 * The images of a run, each once however it was named.
 *
 * A file is known by the real path of its folder and its name there, so that `a.jpg`, `./a.jpg`, its absolute path and a path through a
 * link to its folder are one image. The path that came first stays. Links to the file itself and further hard links have names of their
 * own, under which somebody may look for an answer: they are images of their own.
 */
import { pathBytes, type ImageFile } from '../image-file.ts';

export class FoundFiles {
  /** By the real path of the folder, then by name, the path as it was named. */
  readonly #folders = new Map<string, Map<string, string>>();

  /** @returns the path under which the file is known already, or undefined where it is new */
  add(path: string, realFolder: string): string | undefined {
    const name = path.slice(path.lastIndexOf('/') + 1);
    let names = this.#folders.get(realFolder);
    if (names === undefined) this.#folders.set(realFolder, (names = new Map()));
    const known = names.get(name);
    if (known === undefined) names.set(name, path);
    return known;
  }

  /** Sorted by the bytes of their paths. */
  get sorted(): ImageFile[] {
    const paths = [...this.#folders.values()].flatMap((names) => [...names.values()]);
    const keyed = paths.map((path) => ({ path, bytes: pathBytes(path) }));
    keyed.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
    return keyed.map(({ path }) => ({ path }));
  }
}
