/**
 * What libvips is given: bytes that it recognises, and which picture of them is meant. Its header is read, nothing of size is decoded.
 *
 * Some intact files are refused by libvips for the sake of one number in their header. That number is changed in memory; what it said is kept
 * here and made up for when the samples are converted.
 */
import type { Metadata, SharpOptions } from 'sharp';
import { sharp } from '../load-sharp.ts';
import { ImageError } from '../../errors.ts';
import { nativeWork } from '../../threads/native-work.ts';
import { isoPicture, type CodePoints } from '../kinds/iso-picture.ts';
import { KIND, type ImageKind } from '../kinds/kinds.ts';
import { readTiff, TAG } from '../kinds/tiff-directory.ts';
import { unreadableTiff } from '../kinds/tiff-limits.ts';
import { PHOTOMETRIC, tiffPicture, type TiffPicture } from '../kinds/tiff-picture.ts';

// Every image is read once, so remembered operations would only hold memory.
sharp.cache(false);
// Images are decoded side by side by the caller; more threads within one image would compete with the model for the cores.
sharp.concurrency(1);

export type VipsSource = {
  kind: ImageKind;
  bytes: Buffer;
  options: SharpOptions;
  header: Metadata;
  tiff: TiffPicture | undefined;
  /** Colours that libvips does not know of. */
  codePoints: CodePoints | undefined;
};

/** libtiff takes no more than 50 MB for what a directory holds, unless it is told to trust the file: it gets what the file itself has. */
const TRUSTED_FIELD_BYTES = 2 ** 24;

/** Reads the header. @throws ImageError for a TIFF that no part of libvips can decode; what libvips throws for a damaged header. */
export async function openVips(kind: ImageKind, bytes: Buffer): Promise<VipsSource> {
  const tiff = kind === KIND.tiff ? tiffOf(bytes) : undefined;
  const given = tiff === undefined ? bytes : forLibvips(bytes, tiff);
  const codePoints = kind === KIND.avif ? isoPicture(bytes)?.codePoints : undefined;
  // libvips takes AVIF files of the brand `avif` alone, and reads those of the others as well.
  if (kind === KIND.avif) bytes.write('avif', 8, 'latin1');
  const options: SharpOptions = {
    failOn: kind === KIND.jpeg ? 'warning' : 'error',
    // The size is checked by the caller, with a message of our own.
    limitInputPixels: false,
    limitInputChannels: false,
    ...(tiff === undefined ? {} : { page: tiff.page, tiff: { subifd: tiff.subifd } }),
    ...(tiff !== undefined && tiff.largestFieldBytes > TRUSTED_FIELD_BYTES ? { unlimited: true } : {}),
  };
  const header = await nativeWork(sharp(given, { ...options, failOn: 'error' }).metadata());
  return { kind, bytes: given, options, header, tiff, codePoints };
}

/** The picture that is meant; undefined where the directory is damaged, which libvips will say. */
function tiffOf(bytes: Buffer): TiffPicture | undefined {
  const file = readTiff(bytes);
  const picture = file === undefined ? undefined : tiffPicture(file);
  const problem = picture === undefined ? undefined : unreadableTiff(picture);
  if (problem !== undefined) throw new ImageError('unsupported-format', problem);
  return picture;
}

/** The file, or a copy with other numbers: libvips takes 8-bit L*a*b* for another encoding, and cuts negative samples off. */
function forLibvips(bytes: Buffer, picture: TiffPicture): Buffer {
  const RGB = 2;
  const UNSIGNED = 1;
  const [lab, signed] = [isLab(picture), picture.sampleFormat === 'signed'];
  if (!lab && !signed) return bytes;
  const copy = Buffer.from(bytes);
  if (lab) setNumbers(copy, picture, TAG.photometric, RGB);
  if (signed) setNumbers(copy, picture, TAG.sampleFormat, UNSIGNED);
  return copy;
}

/** Whether a TIFF holds L*a*b*, which is given to libvips as RGB. */
export function isLab({ photometric, samples }: TiffPicture): boolean {
  return samples >= 3 && (photometric === PHOTOMETRIC.cieLab || photometric === PHOTOMETRIC.iccLab);
}

/** Sets every value of a tag of 16-bit numbers. */
function setNumbers(bytes: Buffer, { directory }: TiffPicture, tag: number, value: number): void {
  const SHORT = 3;
  const LITTLE_ENDIAN = 0x49;
  const entry = directory.entries.get(tag);
  if (entry?.type !== SHORT || entry.offset + entry.count * 2 > bytes.length) return;
  for (let at = entry.offset; at < entry.offset + entry.count * 2; at += 2)
    if (bytes[0] === LITTLE_ENDIAN) bytes.writeUInt16LE(value, at);
    else bytes.writeUInt16BE(value, at);
}
