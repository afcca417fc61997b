/** A JPEG with damaged data inside is decoded as far as it can be, and said to be damaged; harmless flaws are not mentioned. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { openImage } from '../../src/images/decode.ts';
import type { ImageWarning, RgbImage } from '../../src/images/rgb-image.ts';
import { fixture, temporaryFolder } from './fixture-images.ts';

const cat = join(import.meta.dirname, '../../examples/photos/cat.jpg');
const END_OF_IMAGE = Buffer.from([0xff, 0xd9]);

async function decoded(bytes: Uint8Array, side?: number): Promise<{ image: RgbImage; warnings: ImageWarning[] }> {
  const path = join(await temporaryFolder(), 'photo.jpg');
  await writeFile(path, bytes);
  const warnings: ImageWarning[] = [];
  const opened = await openImage(path, { maxPixels: 10_000_000, warn: (warning) => warnings.push(warning) });
  return { image: await opened.decode(side), warnings };
}

/** An eighth of the bytes taken out. libvips hears of what is missing in the last few rows too late to tell. */
function withGap(bytes: Buffer): Buffer {
  const third = Math.trunc(bytes.length / 3);
  return Buffer.concat([bytes.subarray(0, third), bytes.subarray(third + (bytes.length >> 3))]);
}

describe('data that is missing or wrong inside', () => {
  test.each([
    ['a plain JPEG', {}],
    ['a progressive one', { progressive: true }],
  ])('%s', async (_, options) => {
    const bytes = await sharp(cat).jpeg(options).toBuffer();
    expect((await decoded(bytes)).warnings).toEqual([]);
    const { image, warnings } = await decoded(withGap(bytes));
    expect(warnings).toEqual(['damaged']);
    const { width, height } = await sharp(bytes).metadata();
    expect([image.width, image.height]).toEqual([width, height]);
  });

  test('a large photograph, which is reduced while it is decoded', async () => {
    const bytes = await sharp(cat).resize(1800, 1350, { fit: 'fill' }).jpeg().toBuffer();
    const { image, warnings } = await decoded(withGap(bytes), 56);
    expect(warnings).toEqual(['damaged']);
    expect([image.width, image.height]).toEqual([224, 224]);
  });
});

describe('a flaw that shows nowhere', () => {
  test.each([
    [
      'a byte of padding before the end',
      (bytes: Buffer) => Buffer.concat([bytes.subarray(0, -2), Buffer.alloc(1), END_OF_IMAGE]),
    ],
    ['a trailer behind the end', (bytes: Buffer) => Buffer.concat([bytes, Buffer.from('a trailer of a telephone')])],
    ['a second picture behind the first', (bytes: Buffer) => Buffer.concat([bytes, bytes])],
    [
      'a version of JFIF that nobody knows',
      (bytes: Buffer) => bytes.fill(9, bytes.indexOf('JFIF') + 5, bytes.indexOf('JFIF') + 6),
    ],
    ['numbers of a progressive scan in a plain one', withWrongScan],
  ])('%s', async (_, change) => {
    const bytes = await readFile(fixture('jpeg_420.jpg'));
    expect((await decoded(change(bytes))).warnings).toEqual([]);
  });
});

/** Ends the header of the scan with a spectral selection that only progressive files have. */
function withWrongScan(bytes: Buffer): Buffer {
  const scan = bytes.indexOf(Buffer.from([0xff, 0xda])) + 2;
  const lastOfHeader = scan + bytes.readUInt16BE(scan) - 2;
  return bytes.fill(0, lastOfHeader, lastOfHeader + 1);
}
