import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ImageError } from '../../../src/errors.ts';
import { readBmp } from '../../../src/images/readers/bmp.ts';
import { vipsPixels } from '../../../src/images/readers/vips-pixels.ts';
import { openVips } from '../../../src/images/readers/vips-source.ts';
import { KIND } from '../../../src/images/kinds/kinds.ts';

type Header = {
  width: number;
  height: number;
  bits: number;
  compression?: number;
  /** As red, green, blue and perhaps alpha. */
  masks?: readonly number[];
  /** Blue, green, red, nothing. */
  palette?: readonly (readonly number[])[];
  /** Bytes of the header: 12, 40, 52, 56, 108 or 124. */
  size?: number;
};

/** A bitmap file. Masks of a header of 40 bytes follow it. */
function bmp(
  { width, height, bits, compression = 0, masks = [], palette = [], size = 40 }: Header,
  pixels: number[],
): Buffer {
  const entryBytes = size === 12 ? 3 : 4;
  const maskBytes = size === 40 ? masks.length * 4 : 0;
  const head = Buffer.alloc(14 + size + maskBytes + palette.length * entryBytes);
  head.write('BM', 'latin1');
  head.writeUInt32LE(head.length + pixels.length, 2);
  head.writeUInt32LE(head.length, 10);
  head.writeUInt32LE(size, 14);
  if (size === 12) {
    [width, height, 1, bits].forEach((value, index) => head.writeUInt16LE(value, 18 + index * 2));
  } else {
    head.writeInt32LE(width, 18);
    head.writeInt32LE(height, 22);
    head.writeUInt16LE(1, 26);
    head.writeUInt16LE(bits, 28);
    head.writeUInt32LE(compression, 30);
    head.writeUInt32LE(palette.length, 46);
    masks.forEach((mask, index) => head.writeUInt32LE(mask >>> 0, 54 + index * 4));
  }
  palette.forEach((entry, index) => head.set(entry.slice(0, entryBytes), 14 + size + maskBytes + index * entryBytes));
  return Buffer.concat([head, Buffer.from(pixels)]);
}

async function pixelsOf(file: Buffer): Promise<number[]> {
  const source = await openVips(KIND.tiff, readBmp(file));
  const { data } = await vipsPixels(source, { alpha: 'white', side: undefined, seconds: undefined });
  return [...data];
}

const RED = [255, 0, 0];
const GREEN = [0, 255, 0];
const BLUE = [0, 0, 255];
const BLACK = [0, 0, 0];
const WHITE = [255, 255, 255];
/** As palettes have them. */
const PALETTE = [
  [0, 0, 0, 0],
  [0, 0, 255, 0],
  [0, 255, 0, 0],
  [255, 0, 0, 0],
];

describe('a bitmap is read from the top, whichever way it is stored', () => {
  test('24 bits from the bottom, with padded rows', async () => {
    const file = bmp({ width: 1, height: 2, bits: 24 }, [255, 0, 0, 0, /* then the row above */ 0, 0, 255, 0]);
    expect(await pixelsOf(file)).toEqual([...RED, ...BLUE]);
  });

  test('24 bits from the top, where the height is negative', async () => {
    const file = bmp({ width: 1, height: -2, bits: 24 }, [0, 0, 255, 0, 255, 0, 0, 0]);
    expect(await pixelsOf(file)).toEqual([...RED, ...BLUE]);
  });

  test('with the padding of the last row left out', async () => {
    expect(await pixelsOf(bmp({ width: 1, height: 1, bits: 24 }, [0, 0, 255]))).toEqual(RED);
  });
});

describe('every depth', () => {
  test.each([
    [1, [0b0100_0000, 0, 0, 0], [...BLACK, ...RED]],
    [2, [0b01_10_0000, 0, 0, 0], [...RED, ...GREEN]],
    [4, [0x31, 0, 0, 0], [...BLUE, ...RED]],
    [8, [2, 3, 0, 0], [...GREEN, ...BLUE]],
  ])('%i bits with a palette', async (bits, pixels, expected) => {
    expect(await pixelsOf(bmp({ width: 2, height: 1, bits, palette: PALETTE.slice(0, 2 ** bits) }, pixels))).toEqual(
      expected,
    );
  });

  test('8 bits of OS/2, whose palette has three bytes to a colour', async () => {
    expect(await pixelsOf(bmp({ width: 2, height: 1, bits: 8, palette: PALETTE, size: 12 }, [1, 2, 0, 0]))).toEqual([
      ...RED,
      ...GREEN,
    ]);
  });

  test('16 bits are five for each colour', async () => {
    const pixels = [0x00, 0x7c, 0xe0, 0x03, 0x1f, 0x00, 0xff, 0x7f];
    expect(await pixelsOf(bmp({ width: 4, height: 1, bits: 16 }, pixels))).toEqual([
      ...RED,
      ...GREEN,
      ...BLUE,
      ...WHITE,
    ]);
  });

  test.each([40, 52, 56])('16 bits by masks, behind or within a header of %i bytes', async (size) => {
    const masks = size === 56 ? [0xf800, 0x7e0, 0x1f, 0] : [0xf800, 0x7e0, 0x1f];
    const pixels = [0x00, 0xf8, 0xe0, 0x07];
    const file = bmp({ width: 2, height: 1, bits: 16, compression: 3, masks, size }, pixels);
    expect(await pixelsOf(file)).toEqual([...RED, ...GREEN]);
  });

  test('the fourth byte of a plain 32-bit pixel means nothing', async () => {
    expect(await pixelsOf(bmp({ width: 2, height: 1, bits: 32 }, [0, 0, 255, 0, 0, 255, 0, 7]))).toEqual([
      ...RED,
      ...GREEN,
    ]);
  });

  test.each([56, 108, 124])('alpha under a mask of a header of %i bytes is laid on white', async (size) => {
    const masks = [0xff0000, 0xff00, 0xff, 0xff000000];
    const file = bmp({ width: 2, height: 1, bits: 32, compression: 3, masks, size }, [0, 0, 255, 255, 0, 0, 255, 0]);
    expect(await pixelsOf(file)).toEqual([...RED, ...WHITE]);
  });

  test('alpha that is zero everywhere is no alpha', async () => {
    const masks = [0xff0000, 0xff00, 0xff, 0xff000000];
    const file = bmp({ width: 1, height: 1, bits: 32, compression: 3, masks, size: 108 }, [0, 0, 255, 0]);
    expect(await pixelsOf(file)).toEqual(RED);
  });
});

describe('run lengths', () => {
  test('of 8 bits: runs, single pixels, ends of rows and moves', async () => {
    const pixels = [2, 1, /* two red, end of row */ 0, 0, /* three single ones, padded */ 0, 3, 1, 2, 3, 0, 0, 1];
    expect(await pixelsOf(bmp({ width: 3, height: 2, bits: 8, compression: 1, palette: PALETTE }, pixels))).toEqual([
      ...RED, ...GREEN, ...BLUE, ...RED, ...RED, ...BLACK,
    ]); // prettier-ignore
    const moved = [0, 2, 1, 1, 1, 2, 0, 1];
    expect(await pixelsOf(bmp({ width: 2, height: 2, bits: 8, compression: 1, palette: PALETTE }, moved))).toEqual([
      ...BLACK, ...GREEN, ...BLACK, ...BLACK,
    ]); // prettier-ignore
  });

  test('of 4 bits: a run goes back and forth between two colours', async () => {
    const pixels = [3, 0x12, 0, 0, 0, 3, 0x33, 0x10, 0, 1];
    expect(await pixelsOf(bmp({ width: 3, height: 2, bits: 4, compression: 2, palette: PALETTE }, pixels))).toEqual([
      ...BLUE, ...BLUE, ...RED, ...RED, ...GREEN, ...RED,
    ]); // prettier-ignore
  });
});

describe('a bitmap that cannot be read', () => {
  test('ends before its pixels do', () => {
    expect(() => readBmp(bmp({ width: 9, height: 9, bits: 24 }, [1, 2, 3]))).toThrow(/^the BMP ends after 57 bytes/);
  });

  test.each([
    [4, 'a JPEG'],
    [5, 'a PNG'],
    [9, 'a compression of number 9'],
  ])('holds something else (%i)', (compression, named) => {
    expect(() => readBmp(bmp({ width: 1, height: 1, bits: 24, compression }, [1, 2, 3, 4]))).toThrow(
      `the BMP holds ${named}, which cannot be read. Save it again as PNG.`,
    );
  });

  test('any bytes behind the mark are read or refused with a plain error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 24, maxLength: 120 }), (bytes) => {
        const file = Buffer.concat([Buffer.from('BM'), bytes]);
        // Sizes of a few pixels, so that nothing of size is made.
        file.writeInt32LE(3, 18);
        file.writeInt32LE(2, 22);
        try {
          readBmp(file);
        } catch (error) {
          expect(error instanceof ImageError || error instanceof RangeError).toBe(true);
        }
      }),
    );
  });
});
