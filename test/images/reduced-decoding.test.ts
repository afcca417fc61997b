/** Photographs much larger than the model's input are reduced while they are decoded: how far that is from resizing exactly. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { describe, expect, test } from 'vitest';
import { openImage } from '../../src/images/decode.ts';
import { resampleBicubic } from '../../src/images/resample.ts';
import { difference, temporaryFolder } from './fixture-images.ts';

const SIDE = 56;
const limits = { maxPixels: 10_000_000 };
const cat = join(import.meta.dirname, '../../examples/photos/cat.jpg');

/** A photograph of 1800 x 1350 pixels: 43 times the side squared. */
const photograph = (): Sharp => sharp(cat).resize(1800, 1350, { fit: 'fill' });

async function bothWays(
  name: string,
  image: Sharp,
): Promise<{ exact: Uint8Array; reduced: Uint8Array; decoded: { width: number; height: number } }> {
  const path = join(await temporaryFolder(), name);
  await writeFile(path, await image.toBuffer());
  const opened = await openImage(path, limits);
  const decoded = await opened.decode(SIDE);
  return {
    decoded,
    exact: (await resampleBicubic(await opened.decode(), SIDE, SIDE)).data,
    reduced: (await resampleBicubic(decoded, SIDE, SIDE)).data,
  };
}

describe('a large photograph is decoded at four times the side, and ends within 2 grey levels, 0.4 in the mean, of the exact resize', () => {
  test.each([
    ['photo.jpg', () => photograph().jpeg({ quality: 92 })],
    ['progressive.jpg', () => photograph().jpeg({ progressive: true })],
    ['grey.jpg', () => photograph().greyscale().jpeg()],
    ['photo.png', () => photograph().png()],
    ['photo.webp', () => photograph().webp({ quality: 90 })],
    ['photo.tif', () => photograph().tiff()],
    ['turned.jpg', () => photograph().withMetadata({ orientation: 6 }).jpeg()],
    ['profile.jpg', () => photograph().withIccProfile('p3').jpeg()],
  ] as const)('%s', async (name, image) => {
    const { exact, reduced, decoded } = await bothWays(name, image());
    expect(decoded).toMatchObject({ width: 4 * SIDE, height: 4 * SIDE });
    const { max, mean } = difference(reduced, exact);
    expect(max).toBeLessThanOrEqual(2);
    expect(mean).toBeLessThan(0.4);
  });
});

test.each([
  ['transparency', 'alpha.png', () => photograph().ensureAlpha(0.5).png({ compressionLevel: 1 })],
  ['16 bits', 'wide.png', () => photograph().toColourspace('rgb16').png({ compressionLevel: 1 })],
  ['CMYK without a profile', 'cmyk.tif', () => photograph().toColourspace('cmyk').tiff()],
] as const)('an image with %s is resized exactly, whatever its size', async (_, name, image) => {
  const { exact, reduced } = await bothWays(name, image());
  expect(reduced).toEqual(exact);
});

test('an image of up to eight sides is resized exactly', async () => {
  const { exact, reduced, decoded } = await bothWays(
    'small.png',
    sharp(cat)
      .resize(8 * SIDE, 8 * SIDE, { fit: 'fill' })
      .png(),
  );
  expect(decoded).toMatchObject({ width: 8 * SIDE });
  expect(reduced).toEqual(exact);
});

test('only the long axis of a panorama is reduced', async () => {
  const { decoded } = await bothWays('panorama.jpg', sharp(cat).resize(4000, 300, { fit: 'fill' }).jpeg());
  expect(decoded).toMatchObject({ width: 4 * SIDE, height: 300 });
});
