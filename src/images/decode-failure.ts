/**
 * Turns what a decoder reports into an error that tells the user what is wrong with the file.
 *
 * What is said follows from the file's bytes alone. libvips collects its messages in one place for all images that are decoded at the same
 * time, so its text may be missing or belong to another image; it is kept as the cause, for `--debug`.
 */
import { ImageError } from '../errors.ts';
import { formatCount } from './format-count.ts';
import { endsEarly } from './kinds/early-end.ts';
import { KIND, READABLE_NAMES, type ImageKind } from './kinds/kinds.ts';
import { describeUnknown } from './kinds/text-head.ts';
import { readTiff } from './kinds/tiff-directory.ts';
import { describeTiff } from './kinds/tiff-limits.ts';
import { tiffPicture } from './kinds/tiff-picture.ts';

/** Refuses what is no image, or one of a kind that cannot be read. */
export function refuseKind(kind: ImageKind | undefined, bytes: Uint8Array): ImageError | undefined {
  if (kind === undefined) {
    const message = `the file contains ${describeUnknown(bytes)}, not an image. Readable are ${READABLE_NAMES}.`;
    return new ImageError('unsupported-format', message);
  }
  if (kind.readable) return undefined;
  const advice = kind.advice ?? `Convert it to one of ${READABLE_NAMES}.`;
  const message = `the file is ${article(kind.name)} ${kind.name} file, which cannot be read. ${advice}`;
  return new ImageError('unsupported-format', message);
}

/** Explains why `bytes` could not be decoded. */
export function explainDecodeFailure(kind: ImageKind, bytes: Uint8Array, cause: unknown): ImageError {
  if (endsEarly(kind, bytes)) {
    const message = `the ${kind.name} ends after ${formatCount(bytes.length)} bytes; the file is probably truncated.`;
    return new ImageError('truncated-image', message, { cause });
  }
  const stored = kind === KIND.tiff ? storedTiff(bytes) : undefined;
  const how = stored === undefined ? '' : ` (${stored})`;
  const message = `the ${kind.name} is damaged and cannot be decoded${how}. Try to open and save it anew with another program.`;
  return new ImageError('unreadable-image', message, { cause });
}

/** How a TIFF is stored that fails in spite of a compression that libtiff knows: it may be the rarity and no damage. */
function storedTiff(bytes: Uint8Array): string | undefined {
  const USUAL = new Set([1, 5, 7, 8, 32_773, 32_946]);
  const file = readTiff(bytes);
  const picture = file === undefined ? undefined : tiffPicture(file);
  return picture === undefined || USUAL.has(picture.compression) ? undefined : describeTiff(picture);
}

/** Refuses an image of too many pixels. */
export function refuseLarge(width: number, height: number, maxPixels: number): ImageError | undefined {
  if (width * height <= maxPixels) return undefined;
  return new ImageError(
    'image-too-large',
    `the image has ${formatCount(width)} x ${formatCount(height)} pixels, and the limit is ${formatCount(maxPixels)} pixels in all. ` +
      'Make it smaller, or raise the limit (--max-pixels).',
  );
}

function article(name: string): string {
  return /^(?:[AEIO]|MP4)/i.test(name) ? 'an' : 'a';
}
