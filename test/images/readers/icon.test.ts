import { describe, expect, test } from 'vitest';
import sharp from 'sharp';
import { KIND } from '../../../src/images/kinds/kinds.ts';
import { readIcon } from '../../../src/images/readers/icon.ts';
import { vipsPixels } from '../../../src/images/readers/vips-pixels.ts';
import { openVips } from '../../../src/images/readers/vips-source.ts';

const RED = [255, 0, 0];
const WHITE = [255, 255, 255];

/** An icon of pictures, each of a side and a number of bits. */
function icon(...pictures: { side: number; bits: number; data: Buffer }[]): Buffer {
  const head = Buffer.alloc(6 + pictures.length * 16);
  head.writeUInt16LE(1, 2);
  head.writeUInt16LE(pictures.length, 4);
  let at = head.length;
  for (const [index, { side, bits, data }] of pictures.entries()) {
    const entry = 6 + index * 16;
    head[entry] = side;
    head.writeUInt16LE(bits, entry + 6);
    head.writeUInt32LE(data.length, entry + 8);
    head.writeUInt32LE(at, entry + 12);
    at += data.length;
  }
  return Buffer.concat([head, ...pictures.map(({ data }) => data)]);
}

/** A bitmap without a file header, its mask below it. */
function bitmap(side: number, bits: number, rows: number[]): Buffer {
  const head = Buffer.alloc(40);
  head.writeUInt32LE(40, 0);
  head.writeInt32LE(side, 4);
  head.writeInt32LE(side * 2, 8);
  head.writeUInt16LE(1, 12);
  head.writeUInt16LE(bits, 14);
  return Buffer.concat([head, Buffer.from(rows)]);
}

async function pixelsOf(bytes: Buffer): Promise<number[]> {
  const picture = readIcon(bytes);
  const source = await openVips(picture.isPng ? KIND.png : KIND.tiff, picture.file());
  return [...(await vipsPixels(source, { alpha: 'white', side: undefined, seconds: undefined })).data];
}

describe('of the pictures of an icon', () => {
  test('the largest is taken', async () => {
    const data = await sharp({ create: { width: 3, height: 3, channels: 3, background: 'red' } })
      .png()
      .toBuffer();
    const small = { side: 1, bits: 32, data: bitmap(1, 32, [0, 255, 0, 255, 0, 0, 0, 0]) };
    const bytes = icon(small, { side: 3, bits: 24, data });
    expect(readIcon(bytes)).toMatchObject({ width: 3, height: 3 });
    expect(await pixelsOf(bytes)).toEqual(Array.from({ length: 9 }, () => RED).flat());
  });

  test('the mask makes pixels transparent', async () => {
    // Two rows of two red pixels, padded to eight bytes; of the lower row the right one is masked.
    const rows = [0, 0, 255, 0, 0, 255, 0, 0, 0, 0, 255, 0, 0, 255, 0, 0, 0b0100_0000, 0, 0, 0, 0, 0, 0, 0];
    expect(await pixelsOf(icon({ side: 2, bits: 24, data: bitmap(2, 24, rows) }))).toEqual([
      ...RED,
      ...RED,
      ...RED,
      ...WHITE,
    ]);
  });

  test('the fourth byte of 32-bit pixels is alpha, where there is any', async () => {
    expect(await pixelsOf(icon({ side: 1, bits: 32, data: bitmap(1, 32, [0, 0, 255, 255, 0, 0, 0, 0]) }))).toEqual(RED);
    expect(await pixelsOf(icon({ side: 1, bits: 32, data: bitmap(1, 32, [0, 0, 255, 0, 0, 0, 0, 0]) }))).toEqual(RED);
    const half = [0, 0, 255, 255, 0, 0, 255, 0, 0, 0, 255, 255, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0];
    expect(await pixelsOf(icon({ side: 2, bits: 32, data: bitmap(2, 32, half) }))).toEqual([
      ...RED,
      ...RED,
      ...RED,
      ...WHITE,
    ]);
  });
});

test('an icon without pictures is damaged', () => {
  expect(() => readIcon(icon())).toThrow('the icon is damaged: it holds no picture.');
});
