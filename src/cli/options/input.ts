/** The options that say which images: shared by every command that reads images. */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import type { Command } from 'commander';
import { UsageError, systemErrorCode } from '../../errors.ts';
import { DEFAULT_DECODE_SECONDS } from '../../images/decode-seconds.ts';
import type { Discovery } from '../../images/discover.ts';
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
    .argument('[paths...]', 'images, folders of images, or quoted glob patterns')
    .option('--files-from <file>', 'read more paths from a file, one per line ("-": standard input)')
    .option('-0, --null', 'the paths in --files-from end with NUL instead of a newline')
    .option('--no-recursive', 'leave out the folders inside folders')
    .option('--exclude <glob>', 'leave out what matches; may be repeated', collect);
  return addDecodingLimits(command);
}

/** What one image may take, also where the command takes one image only. */
export function addDecodingLimits(command: Command): Command {
  return command
    .option('--max-pixels <n>', 'refuse larger images before decoding them', wholeNumber(1), DEFAULT_MAX_PIXELS)
    .option(
      '--decode-timeout <seconds>',
      'give up an image whose decoding takes more computing time',
      decimalNumber('above 0, and at most 86400', (number) => number > 0 && number <= 86_400),
      DEFAULT_DECODE_SECONDS,
    );
}

/** Collects the values of an option that may be repeated, one value each time, so that it never swallows a path. */
export function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}

/**
 * The images the user means.
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
    throw new UsageError('--null says how the list of --files-from is written, but there is no --files-from.');
  }
  if (paths.length === 0 && filesFrom === undefined) {
    throw new UsageError('no images given. Name images or folders, or give a list with --files-from.');
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
