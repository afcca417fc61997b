/**
 * Turns what the decoder reports into an error that tells the user what is wrong with the file.
 *
 * What is said follows from the file's bytes alone. libvips collects its messages in one place for all images that are decoded at the same
 * time, so its text may be missing or belong to another image; it is kept as the cause, for `--debug`.
 */
import { ImageError } from '../errors.ts';
import { describeUnknown, detectFormat, endsEarly } from './container.ts';
import { formatCount } from './format-count.ts';

const READABLE_FORMATS = 'JPEG, PNG, WebP, AVIF, GIF, TIFF and SVG';

/** Explains why `bytes` could not be decoded. */
export function explainDecodeFailure(bytes: Uint8Array, cause: unknown): ImageError {
  const report = cause instanceof Error ? cause.message : String(cause);
  if (/exceeds pixel limit/.test(report)) {
    const message =
      'the image has more pixels than the limit allows. Make it smaller, or raise the limit with --max-pixels.';
    return new ImageError('image-too-large', message, { cause });
  }
  const format = detectFormat(bytes);
  if (format === undefined) {
    const message = `the file contains ${describeUnknown(bytes)}, not an image. minigpt reads ${READABLE_FORMATS}.`;
    return new ImageError('unsupported-format', message, { cause });
  }
  if (!format.readable) {
    const message = `the file is ${article(format.name)} ${format.name} file, which cannot be read. Convert it to one of these formats: ${READABLE_FORMATS}.`;
    return new ImageError('unsupported-format', message, { cause });
  }
  if (endsEarly(format, bytes)) {
    const message = `the ${format.name} ends after ${formatCount(bytes.length)} bytes; the file is probably truncated.`;
    return new ImageError('truncated-image', message, { cause });
  }
  const message = `the ${format.name} is damaged and cannot be decoded. Try to open it with another program and save it again.`;
  return new ImageError('unreadable-image', message, { cause });
}

function article(name: string): string {
  return /^(?:[AEIOU]|MP4|SVG)/i.test(name) ? 'an' : 'a';
}
