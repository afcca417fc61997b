/**
 * Turns what a decoder reports into an error that tells the user what is wrong with the file.
 *
 * What is said follows from the file's bytes alone. libvips collects its messages in one place for all images that are decoded at the same
 * time, so its text may be missing or belong to another image; it is kept as the cause, for `--debug`.
 */
import { ImageError } from '../errors.ts';
import { formatCount } from './format-count.ts';
import { endsEarly } from './kinds/early-end.ts';
import { kindOfBytes } from './kinds/kind-of-bytes.ts';
import { CAMERA_RAWS, KIND, kindOfEnding, READABLE_NAMES, type ImageKind } from './kinds/kinds.ts';
import { describeUnknown, UNKNOWN_CONTENT } from './kinds/text-head.ts';
import { readTiff } from './kinds/tiff-directory.ts';
import { describeTiff } from './kinds/tiff-limits.ts';
import { tiffPicture } from './kinds/tiff-picture.ts';

/**
 * The kind of a file, by its content; of what looks like a TIFF the ending may know better, because makers of cameras put raws in that container
 * in ways of their own.
 *
 * @throws ImageError for what is no image, and for kinds that cannot be read
 */
export function readableKind(path: string, bytes: Uint8Array): ImageKind {
  const kind = kindOfBytes(bytes);
  const named = kindOfEnding(path);
  const described = kind === undefined ? describeUnknown(bytes) : UNKNOWN_CONTENT;
  if (described !== UNKNOWN_CONTENT || (kind === undefined && named?.readable !== false)) {
    const message = `the file contains ${described}, not an image. minigpt reads ${READABLE_NAMES}.`;
    throw new ImageError('unsupported-format', message);
  }
  const isRawByName = kind === KIND.tiff && named !== undefined && CAMERA_RAWS.has(named);
  const meant = kind === undefined || isRawByName ? named : kind;
  if (meant?.readable === true) return meant;
  const { name = '', advice = `Convert it to one of these formats: ${READABLE_NAMES}.` } = meant ?? {};
  const message = `the file is ${article(name)} ${name} file, which cannot be read. ${advice}`;
  throw new ImageError('unsupported-format', message);
}

/** Explains why `bytes` could not be decoded. */
export function explainDecodeFailure(kind: ImageKind, bytes: Uint8Array, cause: unknown): ImageError {
  if (endsEarly(kind, bytes)) {
    const message = `the ${kind.name} ends after ${formatCount(bytes.length)} bytes; the file is probably truncated.`;
    return new ImageError('truncated-image', message, { cause });
  }
  const stored = kind === KIND.tiff ? storedTiff(bytes) : undefined;
  const how = stored === undefined ? '' : ` (${stored})`;
  const message = `the ${kind.name} is damaged and cannot be decoded${how}. Try to open it with another program and save it again.`;
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
    `the image has ${formatCount(width)} x ${formatCount(height)} pixels, which is more than the limit of ${formatCount(maxPixels)} pixels. ` +
      'Make it smaller, or raise the limit with --max-pixels.',
  );
}

function article(name: string): string {
  return /^(?:[AEIO]|MP4)/i.test(name) ? 'an' : 'a';
}
