/** Whether a file ends before its own container says so: libvips tells a truncated file from a damaged one for few formats only. */
import { isGzip } from './kind-of-bytes.ts';
import { boxesIn } from './iso-picture.ts';
import { KIND, type ImageKind } from './kinds.ts';
import { textEncoding } from './text-head.ts';
import { numbersOf, readTiff, TAG } from './tiff-directory.ts';
import { tiffPicture } from './tiff-picture.ts';

/** Whether the file stops before the end that its format has: a stated length, or a closing mark. */
export function endsEarly(kind: ImageKind, bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (kind) {
    case KIND.jpeg:
      return jpegEndsEarly(view);
    case KIND.gif:
      return gifEndsEarly(view);
    case KIND.svg:
      // One packed with gzip is looked at when it is unpacked.
      return (
        !isGzip(bytes) && !/<\/(?:\w+:)?svg\s*>|<svg[^>]*\/>/.test(new TextDecoder(textEncoding(bytes)).decode(bytes))
      );
    case KIND.png:
      return pngEndsEarly(view);
    case KIND.webp:
      return bytes.length < 16 || 8 + view.getUint32(4, true) > bytes.length;
    case KIND.avif:
    case KIND.heic:
      return boxesEndEarly(view);
    case KIND.tiff:
      return tiffEndsEarly(bytes);
    case KIND.bmp:
      return bmpEndsEarly(view);
    default:
      return false;
  }
}

/** Segments state their length up to the first scan; behind it there must be the mark of the end. */
function jpegEndsEarly(view: DataView): boolean {
  const START_OF_SCAN = 0xffda;
  const END_OF_IMAGE = 0xffd9;
  let at = 2;
  while (at + 4 <= view.byteLength && view.getUint16(at) !== START_OF_SCAN) {
    // Bytes that are no segment are damage, not an early end.
    if (view.getUint8(at) !== 0xff) return false;
    at += 2 + view.getUint16(at + 2);
  }
  for (; at + 2 <= view.byteLength; at++) if (view.getUint16(at) === END_OF_IMAGE) return false;
  return true;
}

/** A GIF is a row of blocks that ends with a trailer; each block is a row of sub-blocks that ends with an empty one. */
function gifEndsEarly(view: DataView): boolean {
  const EXTENSION = 0x21;
  const IMAGE = 0x2c;
  const HEADER = 13;
  if (view.byteLength < HEADER) return true;
  let at = HEADER + colourTableBytes(view.getUint8(10));
  while (at < view.byteLength) {
    const block = view.getUint8(at);
    if (block === EXTENSION) at += 2;
    else if (block === IMAGE && at + 10 < view.byteLength) at += 11 + colourTableBytes(view.getUint8(at + 9));
    else return block === IMAGE;
    while (at < view.byteLength && view.getUint8(at) !== 0) at += 1 + view.getUint8(at);
    at++;
  }
  return true;
}

function colourTableBytes(flags: number): number {
  return (flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1);
}

function pngEndsEarly(view: DataView): boolean {
  const IEND = 0x49454e44;
  for (let at = 8; at + 8 <= view.byteLength;) {
    const end = at + 12 + view.getUint32(at);
    if (end > view.byteLength) return true;
    if (view.getUint32(at + 4) === IEND) return false;
    at = end;
  }
  return true;
}

/** A box of size 0 reaches to the end of the file, and one of size 1 has its size in 64 bits behind its type. */
function boxesEndEarly(view: DataView): boolean {
  let at = 0;
  while (at < view.byteLength) {
    if (at + 8 > view.byteLength) return true;
    const size = view.getUint32(at);
    if (size === 0) return false;
    if (size === 1 && at + 16 > view.byteLength) return true;
    const length = size === 1 ? Number(view.getBigUint64(at + 8)) : size;
    if (length < 8) return false;
    at += length;
  }
  return at > view.byteLength || [...boxesIn(view, 0, view.byteLength)].length < 2;
}

/** Whether the directory of the picture, or one of the strips or tiles it lists, lies behind the end. */
function tiffEndsEarly(bytes: Uint8Array): boolean {
  const file = readTiff(bytes);
  const picture = file === undefined ? undefined : tiffPicture(file);
  if (file === undefined || picture === undefined) return true;
  const { directory } = picture;
  return [
    [TAG.stripOffsets, TAG.stripByteCounts],
    [TAG.tileOffsets, TAG.tileByteCounts],
  ].some(([starts, lengths]) => {
    if (starts === undefined || lengths === undefined) return false;
    if (!directory.entries.has(starts) || !directory.entries.has(lengths)) return false;
    const begin = numbersOf(file, directory, starts);
    const length = numbersOf(file, directory, lengths);
    if (begin === undefined || length === undefined) return true;
    return begin.some((offset, index) => offset + (length[index] ?? 0) > bytes.length);
  });
}

/** The header states the length of the file, or where its pixels begin. */
function bmpEndsEarly(view: DataView): boolean {
  if (view.byteLength < 26) return true;
  return view.getUint32(10, true) >= view.byteLength || view.getUint32(2, true) > view.byteLength;
}
