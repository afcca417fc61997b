/**
 * What the first bytes of a file say it is.
 *
 * A few containers hold several kinds: TIFF is also the container of most camera raws, ISO boxes hold AVIF, HEIC, raws and films, and gzip
 * may hold an SVG. For those more than a signature is looked at.
 */
import { constants, gunzipSync } from 'node:zlib';
import { isoKind } from './iso-kind.ts';
import { KIND, type ImageKind } from './kinds.ts';
import { looksLikeSvg, textHead } from './text-head.ts';
import { tiffKind } from './tiff-kind.ts';

type Signature = { kind: ImageKind; offset: number; bytes: Uint8Array };

const SIGNATURES: readonly Signature[] = [
  signature(KIND.jpeg, 0, '\xFF\xD8\xFF'),
  signature(KIND.png, 0, '\x89PNG\r\n\x1A\n'),
  signature(KIND.gif, 0, 'GIF8'),
  signature(KIND.webp, 8, 'WEBP'),
  signature(KIND.canonRaw, 6, 'HEAPCCDR'),
  signature(KIND.fujifilmRaw, 0, 'FUJIFILMCCD-RAW'),
  signature(KIND.olympusRaw, 0, 'IIRO'),
  signature(KIND.olympusRaw, 0, 'IIRS'),
  signature(KIND.olympusRaw, 0, 'MMOR'),
  signature(KIND.panasonicRaw, 0, 'IIU\0'),
  signature(KIND.sigmaRaw, 0, 'FOVb'),
  signature(KIND.minoltaRaw, 0, '\0MRM'),
  signature(KIND.jpegXr, 0, 'II\xBC\x01'),
  signature(KIND.bmp, 0, 'BM'),
  signature(KIND.icon, 0, '\0\0\x01\0'),
  signature(KIND.icon, 0, '\0\0\x02\0'),
  signature(KIND.jpegXl, 0, '\xFF\x0A'),
  signature(KIND.jpegXl, 4, 'JXL \r\n'),
  signature(KIND.jpeg2000, 4, 'jP  \r\n'),
  signature(KIND.jpeg2000, 0, '\xFF\x4F\xFF\x51'),
  signature(KIND.photoshop, 0, '8BPS'),
  signature(KIND.gimp, 0, 'gimp xcf'),
  signature(KIND.pdf, 0, '%PDF'),
  signature(KIND.postScript, 0, '%!PS'),
  signature(KIND.postScript, 0, '\xC5\xD0\xD3\xC6'),
  signature(KIND.dds, 0, 'DDS '),
  signature(KIND.openExr, 0, '\x76\x2F\x31\x01'),
  signature(KIND.radiance, 0, '#?RADIANCE'),
  signature(KIND.radiance, 0, '#?RGBE'),
  signature(KIND.qoi, 0, 'qoif'),
  signature(KIND.fits, 0, 'SIMPLE  ='),
  signature(KIND.zip, 0, 'PK\x03\x04'),
  signature(KIND.matroska, 0, '\x1A\x45\xDF\xA3'),
];

const GZIP = signature(KIND.gzip, 0, '\x1F\x8B\x08');
const TIFF = ['II*\0', 'MM\0*', 'II+\0', 'MM\0+'].map((bytes) => signature(KIND.tiff, 0, bytes));

/** The mark is short, so the numbers behind it count too. */
const NETPBM = /^(?:P[1-6]\s+(?:#[^\n]*\n\s*)*\d+\s+\d+\s|P7\n(?:#|WIDTH|HEIGHT|DEPTH))/;

/** No compressed head of an SVG is longer, and none of this length becomes more than a megabyte or two. */
const GZIP_HEAD = 1024;

/**
 * Names the kind of a file by its bytes, or gives undefined for content of no known kind.
 *
 * @param bytes the file, or as much of its beginning as is at hand: 64 kB are enough for all but a few camera raws, which are TIFF files until
 *   the place of their sensor data is seen.
 */
export function kindOfBytes(bytes: Uint8Array): ImageKind | undefined {
  const found = SIGNATURES.find((one) => isAt(bytes, one));
  if (found !== undefined) return found.kind;
  if (TIFF.some((one) => isAt(bytes, one))) return tiffKind(bytes);
  const iso = isoKind(bytes);
  if (iso !== undefined) return iso;
  if (isAt(bytes, GZIP)) return looksLikeSvg(inflatedHead(bytes)) ? KIND.svg : KIND.gzip;
  if (looksLikeSvg(bytes)) return KIND.svg;
  const head = textHead(bytes);
  if (head !== undefined && NETPBM.test(head)) return KIND.netpbm;
  // A file cut within the signature itself.
  return [...SIGNATURES, ...TIFF].find(
    ({ kind, offset, bytes: expected }) =>
      kind.readable &&
      offset === 0 &&
      bytes.length > 0 &&
      bytes.length < expected.length &&
      bytes.every((byte, index) => expected[index] === byte),
  )?.kind;
}

/** Whether bytes are packed with gzip. */
export function isGzip(bytes: Uint8Array): boolean {
  return isAt(bytes, GZIP);
}

function isAt(bytes: Uint8Array, { offset, bytes: expected }: Signature): boolean {
  return expected.every((byte, index) => bytes[offset + index] === byte);
}

function inflatedHead(bytes: Uint8Array): Uint8Array {
  try {
    return gunzipSync(bytes.subarray(0, GZIP_HEAD), { finishFlush: constants.Z_SYNC_FLUSH });
  } catch {
    return new Uint8Array();
  }
}

function signature(kind: ImageKind, offset: number, bytes: string): Signature {
  return { kind, offset, bytes: Uint8Array.from(bytes, (character) => character.charCodeAt(0)) };
}
