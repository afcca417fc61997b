/** One small picture in every way that files store one (`test/fixtures/images/make_kinds.py`), against what it looks like. */
import { readFileSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { decodeImage } from '../../src/images/decode.ts';
import { difference, temporaryFolder } from './fixture-images.ts';

const KINDS = fileURLToPath(new URL('../fixtures/images/kinds/', import.meta.url));
const { files } = JSON.parse(readFileSync(join(KINDS, 'kinds.json'), 'utf8')) as {
  files: Record<string, { expected: string; mean: number; max: number }>;
};
const limits = { maxPixels: 1_000_000 };

test.each(Object.entries(files))('%s looks as it should', async (name, { expected, mean, max }) => {
  const image = await decodeImage(join(KINDS, name), limits);
  const { data, info } = await sharp(join(KINDS, `expected-${expected}.png`))
    .raw()
    .toBuffer({ resolveWithObject: true });
  expect([image.width, image.height]).toEqual([info.width, info.height]);
  const off = difference(image.data, data);
  expect(off.max).toBeLessThanOrEqual(max);
  expect(off.mean).toBeLessThanOrEqual(mean);
});

describe('an intact TIFF that cannot be read is named as what it is, with what to do', () => {
  test.each([
    ['refused-zstd.tif', 'the TIFF is compressed with Zstandard, which cannot be read.'],
    ['refused-lzma.tif', 'the TIFF is compressed with LZMA, which cannot be read.'],
    ['refused-lerc.tif', 'the TIFF is compressed with LERC, which cannot be read.'],
    ['refused-jpeg-xl.tif', 'the TIFF is compressed with JPEG XL, which cannot be read.'],
    ['refused-jpeg-2000.tif', 'the TIFF is compressed with JPEG 2000, which cannot be read.'],
    ['refused-float64.tif', 'the TIFF stores 64 bits per sample (floating point), which cannot be read.'],
    ['refused-12-bits.tif', 'the TIFF stores 12 bits per sample, which cannot be read.'],
  ])('%s', async (name, message) => {
    await expect(decodeImage(join(KINDS, name), limits)).rejects.toMatchObject({
      code: 'unsupported-format',
      message: `${message} Save it again with 8 or 16 bits per sample, and LZW, Deflate or no compression.`,
    });
  });
});

describe('a camera raw is named as one, although it looks like a TIFF', () => {
  test.each([
    ['refused-preview.dng', 'a DNG camera raw file'],
    ['refused-mosaic.dng', 'a DNG camera raw file'],
    ['refused-nikon.tif', 'a Nikon camera raw file'],
  ])('%s, whatever it is called', async (name, named) => {
    const renamed = join(await temporaryFolder(), 'photo.tif');
    await copyFile(join(KINDS, name), renamed);
    await expect(decodeImage(renamed, limits)).rejects.toMatchObject({
      code: 'unsupported-format',
      message: expect.stringContaining(
        `the file is ${named}, which cannot be read. Export it as JPEG or TIFF`,
      ) as string,
    });
  });

  test('by its ending, where only the maker knows what is in it', async () => {
    const path = join(await temporaryFolder(), 'photo.NEF');
    await copyFile(join(KINDS, 'rgb8-alpha.tif'), path);
    await expect(decodeImage(path, limits)).rejects.toMatchObject({
      code: 'unsupported-format',
      message: expect.stringContaining('the file is a Nikon camera raw file') as string,
    });
  });

  test('but a picture of another kind is read under any ending', async () => {
    const path = join(await temporaryFolder(), 'photo.cr2');
    await copyFile(join(KINDS, 'rgb16-p3.png'), path);
    expect((await decodeImage(path, limits)).width).toBe(60);
  });
});
