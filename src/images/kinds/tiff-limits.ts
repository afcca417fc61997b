/** TIFF files that are intact and cannot be read: how their pictures are stored, in the words of the format. */
import type { TiffPicture } from './tiff-picture.ts';

/** Compressions that libtiff is built without, or whose decoders are no part of it. */
const FOREIGN_COMPRESSIONS: Readonly<Record<number, string>> = {
  33_003: 'JPEG 2000',
  33_005: 'JPEG 2000',
  33_007: 'CamRaw',
  34_661: 'JBIG',
  34_712: 'JPEG 2000',
  34_887: 'LERC',
  34_925: 'LZMA',
  34_926: 'Zstandard',
  34_933: 'PNG',
  34_934: 'JPEG XR',
  22_610: 'JPEG XR',
  50_000: 'Zstandard',
  50_002: 'JPEG XL',
  52_546: 'JPEG XL',
};

const READABLE_BITS = [1, 2, 4, 8, 16, 32];

const ADVICE = 'Save it again with 8 or 16 bits per sample, and LZW, Deflate or no compression.';

/** Why a picture cannot be read, as a sentence about "the TIFF" with what to do; undefined where it should be readable. */
export function unreadableTiff({ compression, bits, sampleFormat, samples }: TiffPicture): string | undefined {
  const foreign = FOREIGN_COMPRESSIONS[compression];
  if (foreign !== undefined) return `the TIFF is compressed with ${foreign}, which cannot be read. ${ADVICE}`;
  if (sampleFormat === 'complex') return `the TIFF holds complex numbers, which are no picture. ${ADVICE}`;
  if (!READABLE_BITS.includes(bits)) {
    return `the TIFF stores ${bits} bits per sample${sampleFormat === 'float' ? ' (floating point)' : ''}, which cannot be read. ${ADVICE}`;
  }
  return samples > MAX_SAMPLES
    ? `the TIFF has ${samples} samples per pixel, which cannot be read. ${ADVICE}`
    : undefined;
}

/** What a damaged file may claim; satellites have a few hundred bands. */
const MAX_SAMPLES = 1000;

/** How a TIFF is stored, for the message about one that failed: `compression 34676, 16 bits`. */
export function describeTiff({ compression, bits, samples }: TiffPicture): string {
  return `compression ${compression}, ${samples} ${samples === 1 ? 'sample' : 'samples'} of ${bits} bits`;
}
