/**
 * What the first bytes of a file say it is, and whether the file ends before its own container says so.
 *
 * Used to explain a failure: libvips tells a truncated file from a damaged one for few formats only, and knows no names for the
 * formats it cannot read.
 */

/** A format known by its first bytes. `readable` is whether minigpt decodes it. */
export type ContainerFormat = { name: string; readable: boolean };

type Signature = ContainerFormat & { offset: number; bytes: Uint8Array };

const READABLE: readonly Signature[] = [
  signature('JPEG', true, 0, '\xFF\xD8\xFF'),
  signature('PNG', true, 0, '\x89PNG\r\n\x1A\n'),
  signature('GIF', true, 0, 'GIF8'),
  signature('WebP', true, 8, 'WEBP'),
  signature('TIFF', true, 0, 'II*\0'),
  signature('TIFF', true, 0, 'MM\0*'),
  signature('TIFF', true, 0, 'II+\0'),
  signature('TIFF', true, 0, 'MM\0+'),
  signature('AVIF', true, 4, 'ftypavif'),
  signature('AVIF', true, 4, 'ftypavis'),
];

const FOREIGN: readonly Signature[] = [
  signature('HEIC', false, 4, 'ftyphe'),
  signature('HEIC', false, 4, 'ftypmif1'),
  signature('HEIC', false, 4, 'ftypmsf1'),
  signature('Canon raw', false, 4, 'ftypcrx'),
  signature('MP4 or QuickTime video', false, 4, 'ftyp'),
  signature('BMP', false, 0, 'BM'),
  signature('JPEG XL', false, 0, '\xFF\x0A'),
  signature('JPEG XL', false, 4, 'JXL \r\n'),
  signature('JPEG 2000', false, 4, 'jP  \r\n'),
  signature('JPEG 2000', false, 0, '\xFF\x4F\xFF\x51'),
  signature('Photoshop', false, 0, '8BPS'),
  signature('PDF', false, 0, '%PDF'),
  signature('PostScript', false, 0, '%!PS'),
  signature('icon', false, 0, '\0\0\x01\0'),
  signature('DDS', false, 0, 'DDS '),
  signature('OpenEXR', false, 0, '\x76\x2F\x31\x01'),
  signature('Radiance HDR', false, 0, '#?RADIANCE'),
  signature('QOI', false, 0, 'qoif'),
  signature('FITS', false, 0, 'SIMPLE  ='),
  signature('ZIP archive', false, 0, 'PK\x03\x04'),
  signature('gzip', false, 0, '\x1F\x8B'),
  signature('Matroska or WebM video', false, 0, '\x1A\x45\xDF\xA3'),
];

/** Names the format, or gives undefined for content of no known kind. */
export function detectFormat(bytes: Uint8Array): ContainerFormat | undefined {
  const found = [...READABLE, ...FOREIGN].find(({ offset, bytes: expected }) =>
    expected.every((byte, index) => bytes[offset + index] === byte),
  );
  if (found !== undefined) return found;
  const head = textHead(bytes);
  if (head !== undefined && /^\s*(?:<\?xml|<!--|<!DOCTYPE svg|<svg)/i.test(head) && /<svg[\s>]/i.test(head)) {
    return { name: 'SVG', readable: true };
  }
  // A file cut within the signature itself.
  return READABLE.find(
    ({ offset, bytes: expected }) =>
      offset === 0 && bytes.length < expected.length && bytes.every((byte, index) => expected[index] === byte),
  );
}

/** Describes content of no known image kind in a few words. */
export function describeUnknown(bytes: Uint8Array): string {
  const head = textHead(bytes);
  if (head === undefined) return 'content of an unknown kind';
  if (/^\s*<(?:!doctype html|html|head|body)/i.test(head)) return 'an HTML page';
  return /^\s*<\?xml/i.test(head) ? 'XML' : 'text';
}

/** Whether the file stops before the end that its format has: a stated length, or a closing mark. */
export function endsEarly(format: ContainerFormat, bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (format.name) {
    case 'JPEG':
      return jpegEndsEarly(view);
    case 'GIF':
      return gifEndsEarly(view);
    case 'SVG':
      return !/<\/(?:\w+:)?svg\s*>/.test(new TextDecoder().decode(bytes));
    case 'PNG':
      return pngEndsEarly(view);
    case 'WebP':
      return bytes.length < 16 || 8 + view.getUint32(4, true) > bytes.length;
    case 'AVIF':
      return boxesEndEarly(view);
    case 'TIFF':
      return tiffEndsEarly(view);
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
  for (let at = 0; at < view.byteLength;) {
    if (at + 8 > view.byteLength) return true;
    const size = view.getUint32(at);
    if (size === 0) return false;
    if (size === 1 && at + 16 > view.byteLength) return true;
    const length = size === 1 ? Number(view.getBigUint64(at + 8)) : size;
    if (length < 8) return false;
    at += length;
    if (at > view.byteLength) return true;
  }
  return false;
}

/** Whether the first page's directory, or one of the strips or tiles it lists, lies behind the end. BigTIFF is left to its decoder. */
function tiffEndsEarly(view: DataView): boolean {
  if (view.byteLength < 8) return true;
  const little = view.getUint8(0) === 0x49;
  if (view.getUint16(2, little) !== 42) return false;
  const directory = view.getUint32(4, little);
  if (directory + 2 > view.byteLength) return true;
  const entries = view.getUint16(directory, little);
  if (directory + 2 + entries * 12 > view.byteLength) return true;
  const offsets = new Map<number, number[] | undefined>();
  for (let entry = 0; entry < entries; entry++) {
    const at = directory + 2 + entry * 12;
    offsets.set(view.getUint16(at, little), tiffValues(view, at, little));
  }
  const STRIP_OFFSETS = 273;
  const STRIP_BYTE_COUNTS = 279;
  const TILE_OFFSETS = 324;
  const TILE_BYTE_COUNTS = 325;
  return [
    [STRIP_OFFSETS, STRIP_BYTE_COUNTS],
    [TILE_OFFSETS, TILE_BYTE_COUNTS],
  ].some(([starts, lengths]) => {
    if (starts === undefined || lengths === undefined || !offsets.has(starts) || !offsets.has(lengths)) return false;
    const begin = offsets.get(starts);
    const length = offsets.get(lengths);
    if (begin === undefined || length === undefined) return true;
    return begin.some((offset, index) => offset + (length[index] ?? 0) > view.byteLength);
  });
}

/** The unsigned values of a directory entry, or undefined where they lie behind the end. */
function tiffValues(view: DataView, entry: number, little: boolean): number[] | undefined {
  const SHORT = 3;
  const width = view.getUint16(entry + 2, little) === SHORT ? 2 : 4;
  const count = view.getUint32(entry + 4, little);
  const at = count * width <= 4 ? entry + 8 : view.getUint32(entry + 8, little);
  if (at + count * width > view.byteLength) return undefined;
  return Array.from({ length: count }, (_, index) =>
    width === 2 ? view.getUint16(at + index * 2, little) : view.getUint32(at + index * 4, little),
  );
}

/** The beginning as text, or undefined where it is none. */
function textHead(bytes: Uint8Array): string | undefined {
  try {
    // A character cut at the end of the head is no error while streaming.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, 4096), { stream: true });
    return /[^\P{Cc}\s]/u.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

function signature(name: string, readable: boolean, offset: number, bytes: string): Signature {
  return { name, readable, offset, bytes: Uint8Array.from(bytes, (character) => character.charCodeAt(0)) };
}
