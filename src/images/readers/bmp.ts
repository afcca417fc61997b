/**
 * Windows bitmaps: 1 to 32 bits per pixel, with a palette, run lengths or bit masks, from OS/2 1.x to BITMAPV5, either way up.
 *
 * Alpha counts where the header states a mask for it; the fourth byte of a plain 32-bit bitmap means nothing. See "Bitmap header types" of the
 * Windows documentation.
 */
import { ImageError } from '../../errors.ts';
import { rawTiff, type RawPicture } from './raw-tiff.ts';

export type BmpHeader = {
  width: number;
  height: number;
  topDown: boolean;
  bits: number;
  compression: number;
  /** Where the pixels begin. */
  pixelsAt: number;
  palette: { at: number; count: number; entryBytes: 3 | 4 };
  /** Of red, green, blue and alpha; where there are none, the usual places. */
  masks: readonly [number, number, number, number] | undefined;
  icc: Uint8Array | undefined;
};

const RGB = 0;
const RLE8 = 1;
const RLE4 = 2;
const BITFIELDS = 3;
const ALPHA_BITFIELDS = 6;
const EMBEDDED: Readonly<Record<number, string>> = { 4: 'JPEG', 5: 'PNG' };

/**
 * Reads the header of a bitmap.
 *
 * @param at where the header of the bitmap begins: behind the 14 bytes of the file header, or anywhere in an icon
 * @param pixelsAt where its pixels begin, where the file header says so
 * @throws RangeError where it lies behind the end; ImageError for bitmaps that are none, or hold another format.
 */
export function readBmpHeader(bytes: Uint8Array, at = 14, pixelsAt?: number): BmpHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = view.getUint32(at, true);
  const OS2 = 12;
  const INFO = 40;
  const V3 = 56;
  const old = size === OS2;
  if (!old && size < 16)
    throw new ImageError('unreadable-image', `the BMP has a header of ${size} bytes, which no BMP has.`);
  const width = old ? view.getUint16(at + 4, true) : view.getInt32(at + 4, true);
  const signedHeight = old ? view.getUint16(at + 6, true) : view.getInt32(at + 8, true);
  const bits = view.getUint16(at + (old ? 10 : 14), true);
  const compression = old || size < 20 ? RGB : view.getUint32(at + 16, true);
  if (width <= 0 || signedHeight === 0 || ![1, 2, 4, 8, 16, 24, 32].includes(bits)) {
    const message = `the BMP is damaged: its header states ${width} x ${signedHeight} pixels of ${bits} bits.`;
    throw new ImageError('unreadable-image', message);
  }
  const masked = compression === BITFIELDS || compression === ALPHA_BITFIELDS;
  const embedded = EMBEDDED[compression];
  if (embedded !== undefined || !(masked || [RGB, RLE8, RLE4].includes(compression))) {
    const holds = embedded === undefined ? `a compression of number ${compression}` : `a ${embedded}`;
    throw new ImageError('unsupported-format', `the BMP holds ${holds}, which cannot be read. Save it again as PNG.`);
  }
  // Masks belong to the header from its third version on; before, they follow it.
  const maskBytes = masked && size < V3 ? (compression === ALPHA_BITFIELDS ? 16 : size >= 52 ? 0 : 12) : 0;
  const stated = size >= 36 ? view.getUint32(at + 32, true) : 0;
  const most = bits <= 8 ? 2 ** bits : 0;
  const palette = {
    at: at + size + maskBytes,
    count: bits > 8 ? 0 : stated === 0 ? most : Math.min(stated, most),
    entryBytes: old ? 3 : 4,
  } as const;
  return {
    width,
    height: Math.abs(signedHeight),
    topDown: signedHeight < 0,
    bits,
    compression,
    pixelsAt: pixelsAt ?? palette.at + palette.count * palette.entryBytes,
    palette,
    masks: masked ? masksOf(view, at + INFO, size >= V3 || compression === ALPHA_BITFIELDS) : undefined,
    icc: profileOf(view, at, size),
  };
}

/** A bitmap as a TIFF file (see `raw-tiff.ts`). Errors are those of the header. */
export function readBmp(bytes: Uint8Array): Buffer {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = readBmpHeader(bytes, 14, view.getUint32(10, true));
  const channels = alphaMask(header) === 0 ? 3 : 4;
  const { file, samples } = rawTiff(rawPicture(header, channels));
  readBmpPixels(bytes, header, samples, channels);
  if (channels === 4) ignoreEmptyAlpha(samples);
  return file;
}

/** Programs that know no alpha leave it zero although the header has a mask for it; nobody saves a picture that cannot be seen. */
function ignoreEmptyAlpha(samples: Uint8Array): void {
  for (let at = 3; at < samples.length; at += 4) if (samples[at] !== 0) return;
  for (let at = 3; at < samples.length; at += 4) samples[at] = 255;
}

function rawPicture({ width, height, icc }: BmpHeader, channels: 3 | 4): RawPicture {
  return { width, height, channels, bits: 8, icc };
}

function alphaMask({ masks }: BmpHeader): number {
  return masks?.[3] ?? 0;
}

/** Fills `samples`, three or four to a pixel from the top; alpha where it is not stated is 255. @throws ImageError when pixels are missing. */
export function readBmpPixels(bytes: Uint8Array, header: BmpHeader, samples: Uint8Array, channels: 3 | 4): void {
  if (header.compression === RLE8 || header.compression === RLE4) readRuns(bytes, header, samples, channels);
  else if (header.bits <= 8) readIndexed(bytes, header, samples, channels);
  else readPacked(bytes, header, samples, channels);
}

/** Rows are padded to four bytes. */
function rowsOf(bytes: Uint8Array, { width, height, bits, pixelsAt, topDown }: BmpHeader): (row: number) => number {
  const stride = Math.ceil((width * bits) / 32) * 4;
  // The padding of the last row is often left out.
  const needed = pixelsAt + (height - 1) * stride + Math.ceil((width * bits) / 8);
  if (needed > bytes.length) {
    const message = `the BMP ends after ${bytes.length.toLocaleString('en-US')} bytes; the file is probably truncated.`;
    throw new ImageError('truncated-image', message);
  }
  return (row) => pixelsAt + (topDown ? row : height - 1 - row) * stride;
}

function readIndexed(bytes: Uint8Array, header: BmpHeader, samples: Uint8Array, channels: 3 | 4): void {
  const { width, height, bits } = header;
  const rowAt = rowsOf(bytes, header);
  const colours = paletteOf(bytes, header);
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  for (let row = 0, to = 0; row < height; row++) {
    const start = rowAt(row);
    for (let x = 0; x < width; x++, to += channels) {
      const byte = bytes[start + Math.trunc(x / perByte)] as number;
      setColour(samples, to, colours, (byte >> (8 - bits - (x % perByte) * bits)) & mask, channels);
    }
  }
}

/** The colours as red, green, blue; those that the file leaves out are black. */
function paletteOf(bytes: Uint8Array, { palette: { at, count, entryBytes } }: BmpHeader): Uint8Array {
  const colours = new Uint8Array(256 * 3);
  for (let index = 0; index < count; index++) {
    for (let channel = 0; channel < 3; channel++)
      colours[index * 3 + channel] = bytes[at + index * entryBytes + 2 - channel] ?? 0;
  }
  return colours;
}

function setColour(samples: Uint8Array, to: number, colours: Uint8Array, index: number, channels: 3 | 4): void {
  samples[to] = colours[index * 3] as number;
  samples[to + 1] = colours[index * 3 + 1] as number;
  samples[to + 2] = colours[index * 3 + 2] as number;
  if (channels === 4) samples[to + 3] = 255;
}

function readPacked(bytes: Uint8Array, header: BmpHeader, samples: Uint8Array, channels: 3 | 4): void {
  const { width, height, bits } = header;
  const rowAt = rowsOf(bytes, header);
  const step = bits / 8;
  if (header.masks === undefined && bits !== 16) {
    for (let row = 0, to = 0; row < height; row++) {
      for (let x = 0, from = rowAt(row); x < width; x++, from += step, to += channels) {
        samples[to] = bytes[from + 2] as number;
        samples[to + 1] = bytes[from + 1] as number;
        samples[to + 2] = bytes[from] as number;
        if (channels === 4) samples[to + 3] = 255;
      }
    }
    return;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const FIVE_BITS_EACH = [0x7c00, 0x3e0, 0x1f, 0] as const;
  const levels = (header.masks ?? FIVE_BITS_EACH).map(levelReader);
  for (let row = 0, to = 0; row < height; row++) {
    for (let x = 0, from = rowAt(row); x < width; x++, from += step, to += channels) {
      const pixel =
        bits === 16 ? view.getUint16(from, true) : bits === 32 ? view.getUint32(from, true) : threeBytes(bytes, from);
      for (let channel = 0; channel < channels; channel++) samples[to + channel] = levels[channel]?.(pixel) ?? 255;
    }
  }
}

function threeBytes(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
}

/** The bits under a mask as a level of 0 to 255. */
function levelReader(mask: number): ((pixel: number) => number) | undefined {
  if (mask === 0) return undefined;
  const shift = 31 - Math.clz32(mask & -mask);
  const most = mask >>> shift;
  return (pixel) => Math.trunc((((pixel & mask) >>> shift) * 255) / most);
}

function masksOf(view: DataView, at: number, withAlpha: boolean): readonly [number, number, number, number] {
  const mask = (index: number): number => view.getUint32(at + index * 4, true);
  return [mask(0), mask(1), mask(2), withAlpha ? mask(3) : 0];
}

/** Runs of one colour, and rows of single ones; what is skipped is the first colour of the palette. */
function readRuns(bytes: Uint8Array, header: BmpHeader, samples: Uint8Array, channels: 3 | 4): void {
  const { width, height, topDown, pixelsAt, compression } = header;
  const colours = paletteOf(bytes, header);
  const half = compression === RLE4;
  for (let to = 0; to < samples.length; to += channels) setColour(samples, to, colours, 0, channels);
  let [x, y] = [0, 0];
  const put = (index: number): void => {
    const row = topDown ? y : height - 1 - y;
    if (x < width && y < height) setColour(samples, (row * width + x) * channels, colours, index, channels);
    x++;
  };
  const END_OF_ROW = 0;
  const END = 1;
  const MOVE = 2;
  for (let at = pixelsAt; at + 1 < bytes.length && y < height;) {
    const count = bytes[at++] as number;
    const value = bytes[at++] as number;
    if (count > 0) {
      for (let index = 0; index < count; index++) put(half ? (value >> (index % 2 === 0 ? 4 : 0)) & 15 : value);
    } else if (value === END_OF_ROW) {
      [x, y] = [0, y + 1];
    } else if (value === END) {
      return;
    } else if (value === MOVE) {
      x += bytes[at++] ?? 0;
      y += bytes[at++] ?? 0;
    } else {
      for (let index = 0; index < value; index++) {
        const byte = bytes[at + (half ? index >> 1 : index)] ?? 0;
        put(half ? (byte >> (index % 2 === 0 ? 4 : 0)) & 15 : byte);
      }
      const used = half ? Math.ceil(value / 2) : value;
      at += used + (used % 2);
    }
  }
}

/** The profile of a BITMAPV5 header. */
function profileOf(view: DataView, at: number, size: number): Uint8Array | undefined {
  const V5 = 124;
  const PROFILE_EMBEDDED = 0x4d424544;
  if (size < V5 || view.getUint32(at + 56, true) !== PROFILE_EMBEDDED) return undefined;
  const start = at + view.getUint32(at + 112, true);
  const length = view.getUint32(at + 116, true);
  if (length === 0 || start + length > view.byteLength) return undefined;
  return new Uint8Array(view.buffer, view.byteOffset + start, length);
}
