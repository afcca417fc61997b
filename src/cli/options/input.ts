/** The options that choose the images. Every command that reads folders of images has them. */
import type { Readable } from 'node:stream';
import type { Command } from 'commander';
import { UsageError } from '../../errors.ts';
import { DEFAULT_DECODE_SECONDS } from '../../images/decode-seconds.ts';
import type { Discovery } from '../../images/discover.ts';
import { GROUP } from '../help/groups.ts';
import { restoreBytes } from './argument-bytes.ts';
import { readList } from './list-source.ts';
import { decimalNumber, wholeNumber } from './numbers.ts';

/** As typed. */
export type InputOptions = {
  filesFrom?: string;
  null?: boolean;
  recursive: boolean;
  exclude?: string[];
  maxPixels: number;
  /** In seconds. */
  decodeTimeout: number;
};

/** The largest square image that libvips-based tools accept by default: 268 million pixels. */
export const DEFAULT_MAX_PIXELS = 16_383 ** 2;

export function addInputOptions(command: Command): Command {
  command
    .argument('[paths...]', 'image files, folders of images, or glob patterns in quotes')
    .optionsGroup(GROUP.images)
    .option('--files-from <file>', 'read more paths from this file, one per line; "-" reads standard input')
    .option('-0, --null', 'with --files-from: each path ends with a NUL character instead of a newline')
    .option('--no-recursive', 'do not look into subfolders')
    .option('--exclude <glob>', 'skip files and folders that match this pattern; may be repeated', collect);
  return addDecodingLimits(command);
}

/** What one image may take, also where the command takes one image only. */
export function addDecodingLimits(command: Command): Command {
  return command
    .option(
      '--max-pixels <n>',
      'refuse to decode an image with more pixels than this',
      wholeNumber(1),
      DEFAULT_MAX_PIXELS,
    )
    .option(
      '--decode-timeout <seconds>',
      'give up an image if decoding it takes more computing time than this',
      decimalNumber('above 0, and at most 86400', (number) => number > 0 && number <= 86_400),
      DEFAULT_DECODE_SECONDS,
    );
}

/** Collects the values of an option that may be repeated. It takes one value each time, so that it never takes a path. */
export function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}

/**
 * The images that the user asked for.
 *
 * @throws UsageError when none is named, a list cannot be read, or nothing matches; the reason of `signal` when it is aborted.
 */
export async function findImages(
  paths: readonly string[],
  options: InputOptions,
  stdin: Readable,
  signal?: AbortSignal,
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
  const [{ discoverImages }, { readFileList }] = await Promise.all([
    import('../../images/discover.ts'),
    import('../../images/file-list.ts'),
  ]);
  const list =
    filesFrom === undefined ? undefined : readFileList(await readList(filesFrom, stdin, signal), nulSeparated);
  const discovery = await discoverImages({
    paths: await restoreBytes(paths),
    ...(list === undefined ? {} : { filesFrom: list }),
    recursive,
    exclude,
    signal,
  });
  if (discovery.files.length === 0) {
    const place = paths.length === 0 ? 'the list names no images' : `nothing matched in ${paths.join(', ')}`;
    const facts = [`no images found: ${place}.`, ...discovery.warnings, discovery.leftOut.sentence];
    throw new UsageError(facts.filter((fact) => fact !== undefined).join(' '));
  }
  return discovery;
}
