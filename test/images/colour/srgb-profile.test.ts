import sharp, { type Sharp } from 'sharp';
import { expect, test } from 'vitest';
import { isSrgbProfile } from '../../../src/images/colour/srgb-profile.ts';
import { fixture } from '../fixture-images.ts';

async function profileOf(image: Sharp): Promise<Uint8Array> {
  const { icc } = await image.metadata();
  if (icc === undefined) throw new Error('the image has no profile');
  return icc;
}

async function builtIn(name: string): Promise<Uint8Array> {
  const pixel = sharp({ create: { width: 1, height: 1, channels: 3, background: 'red' } });
  return profileOf(sharp(await pixel.withIccProfile(name).png().toBuffer()));
}

test('the sRGB profiles of Hewlett-Packard and of libvips are recognised', async () => {
  expect(isSrgbProfile(await profileOf(sharp(fixture('astronaut.png'))))).toBe(true);
  expect(isSrgbProfile(await builtIn('srgb'))).toBe(true);
});

test('profiles of other colour spaces are not taken for sRGB', async () => {
  expect(isSrgbProfile(await builtIn('p3'))).toBe(false);
  expect(isSrgbProfile(await profileOf(sharp(fixture('tiff_lzw.tif'))))).toBe(false);
  expect(isSrgbProfile(await profileOf(sharp(fixture('icc_p3.png'))))).toBe(false);
});

test('a damaged profile is no sRGB profile', async () => {
  const profile = await builtIn('srgb');
  for (let length = 0; length < profile.length / 2; length++) {
    expect(isSrgbProfile(profile.subarray(0, length)), `${length} bytes`).toBe(false);
  }
  expect(isSrgbProfile(new Uint8Array(400))).toBe(false);
  expect(isSrgbProfile(new Uint8Array(400).fill(255))).toBe(false);
});
