/** The options that choose the images. Every command that reads folders of images has them. */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import type { Command } from 'commander';
import { UsageError, systemErrorCode } from '../../errors.ts';
import type { Discovery } from '../../images/discover.ts';
import { GROUP } from '../help/groups.ts';
import { wholeNumber } from './numbers.ts';

/** As typed. */
export type InputOptions = {
  filesFrom?: string;
  null?: boolean;
  recursive: boolean;
  exclude?: string[];
  maxPixels: number;
};

/** The largest square image that libvips-based tools accept by default: 268 million pixels. */
export const DEFAULT_MAX_PIXELS = 16_383 ** 2;

export const MAX_PIXELS_HELP = 'refuse to decode an image with more pixels than this';

export function addInputOptions(command: Command): Command {
  return command
    .argument('[paths...]', 'image files, folders of images, or glob patterns in quotes')
    .optionsGroup(GROUP.images)
    .option('--files-from <file>', 'read more paths from this file, one per line; "-" reads standard input')
    .option('-0, --null', 'with --files-from: each path ends with a NUL character instead of a newline')
    .option('--no-recursive', 'do not look into subfolders')
    .option('--exclude <glob>', 'skip files and folders that match this pattern; may be repeated', collect)
    .option('--max-pixels <n>', MAX_PIXELS_HELP, wholeNumber(1), DEFAULT_MAX_PIXELS);
}

/** Collects the values of an option that may be repeated. It takes one value each time, so that it never takes a path. */
export function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}

/**
 * The images that the user asked for.
 *
 * @throws UsageError when none is named, a list cannot be read, or nothing matches.
 */
export async function findImages(
  paths: readonly string[],
  options: InputOptions,
  stdin: NodeJS.ReadableStream,
): Promise<Discovery> {
  const { filesFrom, null: nulSeparated = false, recursive, exclude = [] } = options;
  if (nulSeparated && filesFrom === undefined) {
    throw new UsageError(
      '--null describes the list in --files-from, but there is no --files-from. Add it, or leave out --null.',
    );
  }
  if (paths.length === 0 && filesFrom === undefined) {
    throw new UsageError('no images given. Name image files or folders, or give a list with --files-from.');
  }
  const [{ discoverImages }, { splitFileList }] = await Promise.all([
    import('../../images/discover.ts'),
    import('../../images/file-list.ts'),
  ]);
  const listed = filesFrom === undefined ? [] : splitFileList(await readList(filesFrom, stdin), nulSeparated);
  const discovery = await discoverImages({ paths, filesFrom: listed, recursive, exclude });
  if (discovery.files.length === 0) {
    const place = paths.length === 0 ? 'the list names no images' : `nothing matched in ${paths.join(', ')}`;
    throw new UsageError(`no images found: ${place}.`);
  }
  return discovery;
}

async function readList(path: string, stdin: NodeJS.ReadableStream): Promise<string> {
  if (path === '-') return text(stdin);
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const reason = systemErrorCode(error) === 'ENOENT' ? 'there is no such file' : String(error);
    throw new UsageError(`--files-from ${path}: ${reason}.`, { cause: error });
  }
}
