/** Icons and cursors of Windows: a directory of small pictures, each a PNG file or a bitmap with a mask below it. The largest is taken. */
import { ImageError } from '../../errors.ts';
import { readBmpHeader, readBmpPixels, type BmpHeader } from './bmp.ts';
import { rawTiff } from './raw-tiff.ts';

export type IconPicture = { width: number; height: number; file: () => Buffer; isPng: boolean };

type Entry = { width: number; bits: number; at: number; length: number };

/**
 * The largest picture, in most colours.
 *
 * @returns its size, and what gives it as a file: PNG as it stands, a bitmap as TIFF
 * @throws ImageError where the icon has none; RangeError where its header lies behind the end.
 */
export function readIcon(bytes: Uint8Array): IconPicture {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isCursor = view.getUint16(2, true) === 2;
  const entries: Entry[] = [];
  for (let at = 6; at < 6 + view.getUint16(4, true) * 16 && at + 16 <= view.byteLength; at += 16) {
    // A side of 256 is written as 0. Cursors have a place where icons have the number of bits.
    const width = view.getUint8(at) === 0 ? 256 : view.getUint8(at);
    const bits = isCursor ? 0 : view.getUint16(at + 6, true);
    entries.push({ width, bits, at: view.getUint32(at + 12, true), length: view.getUint32(at + 8, true) });
  }
  const [entry] = entries.toSorted((a, b) => b.width - a.width || b.bits - a.bits);
  if (entry === undefined) throw new ImageError('unreadable-image', 'the icon is damaged: it holds no picture.');
  const { at, length } = entry;
  const picture = bytes.subarray(at, at + length);
  const PNG = 0x89504e47;
  if (view.getUint32(at) === PNG) {
    const IHDR_SIZE = 16;
    const [width, height] = [view.getUint32(at + IHDR_SIZE), view.getUint32(at + IHDR_SIZE + 4)];
    return { width, height, file: () => Buffer.from(picture), isPng: true };
  }
  const header = readBmpHeader(bytes, at);
  // Colours and mask lie one above the other.
  const height = Math.max(Math.trunc(header.height / 2), 1);
  return { width: header.width, height, file: () => bitmapFile(bytes, { ...header, height }), isPng: false };
}

function bitmapFile(bytes: Uint8Array, header: BmpHeader): Buffer {
  const { width, height, bits } = header;
  const { file, samples } = rawTiff({ width, height, channels: 4, bits: 8 });
  readBmpPixels(bytes, header, samples, 4);
  const stride = Math.ceil((width * bits) / 32) * 4;
  if (bits === 32 && readOwnAlpha(bytes, header, samples, stride)) return file;
  const maskAt = header.pixelsAt + height * stride;
  const maskStride = Math.ceil(width / 32) * 4;
  for (let y = 0; y < height; y++) {
    const row = maskAt + (height - 1 - y) * maskStride;
    for (let x = 0; x < width; x++) {
      const transparent = ((bytes[row + (x >> 3)] ?? 0) >> (7 - (x & 7))) & 1;
      if (transparent === 1) samples[(y * width + x) * 4 + 3] = 0;
    }
  }
  return file;
}

/** The fourth byte of a pixel is its alpha, unless all of them are zero. */
function readOwnAlpha(
  bytes: Uint8Array,
  { width, height, pixelsAt }: BmpHeader,
  samples: Uint8Array,
  stride: number,
): boolean {
  let some = false;
  for (let y = 0; y < height; y++) {
    const row = pixelsAt + (height - 1 - y) * stride;
    for (let x = 0; x < width; x++) if (bytes[row + x * 4 + 3] !== 0) some = true;
  }
  if (!some) return false;
  for (let y = 0; y < height; y++) {
    const row = pixelsAt + (height - 1 - y) * stride;
    for (let x = 0; x < width; x++) samples[(y * width + x) * 4 + 3] = bytes[row + x * 4 + 3] ?? 255;
  }
  return true;
}
