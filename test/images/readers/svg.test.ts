import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { decodeImage, openImage, type DecodeLimits } from '../../../src/images/decode.ts';
import { drawingScale } from '../../../src/images/readers/svg.ts';
import { resampleBicubic } from '../../../src/images/resample.ts';
import type { RgbImage } from '../../../src/images/rgb-image.ts';
import { difference, fixture, temporaryFolder } from '../fixture-images.ts';

const limits = { maxPixels: 1_000_000 };
const RED = [255, 0, 0];
const WHITE = [255, 255, 255];

/** A drawing whose left half is red. */
const drawing = (size: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ${size}>` +
  '<rect width="50%" height="100%" fill="#f00"/></svg>';
const SMALL = drawing('width="4" height="2"');

async function fileOf(bytes: string | Uint8Array): Promise<string> {
  const path = join(await temporaryFolder(), 'drawing.svg');
  await writeFile(path, bytes);
  return path;
}

async function drawn(bytes: string | Uint8Array, given: DecodeLimits = limits, side?: number): Promise<RgbImage> {
  return (await openImage(await fileOf(bytes), given)).decode(side);
}

const bomb = async (): Promise<string> => {
  // 50,000 x 50,000 pixels in 74 bytes.
  const png = await readFile(fixture('bad_bomb.png'));
  return `data:image/png;base64,${png.toString('base64')}`;
};
const within = (href: string): string =>
  SMALL.replace('</svg>', `<image width="1" height="1" xlink:href="${href}"/></svg>`);

describe('an SVG is read', () => {
  const utf16 = Buffer.from(`\uFEFF<?xml version="1.0" encoding="UTF-16"?>${SMALL}`, 'utf16le');
  const comment = `<!-- ${'made by hand. '.repeat(2000)}-->`;

  test.each([
    ['in UTF-8 with a byte order mark', `\uFEFF${SMALL}`],
    ['in UTF-16, little-endian', utf16],
    ['in UTF-16, big-endian', Buffer.from(utf16).swap16()],
    ['in UTF-16 without a mark', Buffer.from(SMALL, 'utf16le')],
    ['in Latin-1', Buffer.from(`<?xml version="1.0" encoding="ISO-8859-1"?><!-- Zürich -->${SMALL}`, 'latin1')],
    ['packed with gzip', gzipSync(SMALL)],
    ['behind a long comment', `${comment.slice(0, 9000)}-->${SMALL}`],
    ['behind a declaration and a long comment', `<?xml version="1.0"?>${comment.slice(0, 9000)}-->${SMALL}`],
    ['with a document type', `<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/svg11.dtd">${SMALL}`],
    [
      'with a prefix',
      SMALL.replaceAll('<svg xmlns=', '<s:svg xmlns:s=').replace('</svg', '</s:svg').replace('<rect', '<s:rect'),
    ],
  ])('%s', async (_, bytes) => {
    const { width, height, data } = await drawn(bytes);
    expect([width, height]).toEqual([4, 2]);
    expect([...data.subarray(0, 12)]).toEqual([...RED, ...RED, ...WHITE, ...WHITE]);
  });

  test('with a picture of more than ten megabytes inside', async () => {
    const noise = Buffer.alloc(1000 * 4000 * 3);
    for (let at = 0; at < noise.length; at++) noise[at] = (at * at * 31 + (at >> 3)) & 255;
    const png = await sharp(noise, { raw: { width: 1000, height: 4000, channels: 3 } })
      .png({ compressionLevel: 0 })
      .toBuffer();
    const svg = drawing('width="8" height="8"').replace(
      '</svg>',
      `<image width="8" height="8" preserveAspectRatio="none" xlink:href="data:image/png;base64,${png.toString('base64')}"/></svg>`,
    );
    expect(svg.length).toBeGreaterThan(12e6);
    const { data } = await drawn(svg, { maxPixels: 5_000_000 });
    expect([...data.subarray(0, 3)]).not.toEqual(RED);
  });
});

describe('a drawing is drawn at the size that the model wants', () => {
  test.each([
    ['a small icon', 24, 24, 224, 224 / 24],
    ['an icon of the wanted size', 224, 224, 224, 1],
    ['a drawing up to eight times as large', 1000, 800, 224, 1],
    ['a large drawing', 4000, 4000, 224, 896 / 4000],
    ['a strip, by its shorter side', 40, 20, 100, 5],
    ['a long strip, to four sides at most', 1000, 10, 224, 1],
    ['a long and small strip', 100, 10, 224, 8.96],
    ['a large strip, of which the shorter side is kept', 4000, 100, 224, 1],
  ])('%s', (_, width, height, side, scale) => {
    expect(drawingScale(width, height, side)).toBeCloseTo(scale);
  });

  test.each(['width="16" height="16"', 'viewBox="0 0 16 16"', 'width="100%" height="100%" viewBox="0 0 16 16"'])(
    'an icon with %s looks like the same icon of 448 pixels',
    async (size) => {
      const shapes = '<circle cx="8" cy="8" r="7" fill="#36c"/><path d="M2 14 L14 2 L14 6 Z" fill="#fc0"/>';
      const icon = (attributes: string): string =>
        `<svg xmlns="http://www.w3.org/2000/svg" ${attributes}>${shapes}</svg>`;
      const small = await drawn(icon(size), limits, 224);
      const large = await drawn(icon('width="448" height="448" viewBox="0 0 16 16"'), limits, 224);
      expect([small.width, small.height]).toEqual([224, 224]);
      const { mean } = difference(small.data, (await resampleBicubic(large, 224, 224)).data);
      expect(mean).toBeLessThan(0.5);
    },
  );
});

describe('pictures inside a drawing', () => {
  test('count for --max-pixels', async () => {
    await expect(drawn(within(await bomb()))).rejects.toMatchObject({
      code: 'image-too-large',
      message:
        'the pictures inside the SVG have 2,500,000,000 pixels, and the limit is 1,000,000 pixels together with the drawing. ' +
        'Make them smaller, or raise the limit with --max-pixels.',
    });
  });

  test('count also inside a drawing inside', async () => {
    const inside = Buffer.from(within(await bomb())).toString('base64');
    await expect(drawn(within(`data:image/svg+xml;base64,${inside}`))).rejects.toMatchObject({
      code: 'image-too-large',
    });
    const escaped = encodeURIComponent(within(await bomb()));
    await expect(drawn(within(`data:image/svg+xml,${escaped}`))).rejects.toMatchObject({ code: 'image-too-large' });
  });

  test('count for the memory that is set aside', async () => {
    const plain = await openImage(await fileOf(SMALL), limits);
    const photo = await readFile(fixture('chelsea.png'));
    const text = within(`data:image/png;base64,${photo.toString('base64')}`);
    const withPhoto = await openImage(await fileOf(text), limits);
    expect(withPhoto.decodedBytes - plain.decodedBytes).toBe(160 * 106 * 10 + text.length - SMALL.length);
  });

  test.each(['file://', ''])('are not taken from other files (%j)', async (scheme) => {
    const photo = join(import.meta.dirname, '../../../examples/photos/cat.jpg');
    const { data } = await drawn(
      SMALL.replace(/<rect[^>]*>/, `<image width="4" height="2" xlink:href="${scheme}${photo}"/>`),
    );
    expect([...data]).toEqual(Array.from({ length: 24 }, () => 255));
  });
});

describe('a drawing that cannot be read', () => {
  test('is larger than the limit at its own size', async () => {
    await expect(decodeImage(await fileOf(drawing('width="2000" height="2000"')), limits)).rejects.toMatchObject({
      code: 'image-too-large',
    });
  });

  test('becomes larger than 134 MB when it is unpacked', async () => {
    const packed = gzipSync(
      Buffer.concat([Buffer.from(SMALL.slice(0, -6)), Buffer.alloc(2 ** 27, ' '), Buffer.from('</svg>')]),
    );
    await expect(drawn(packed)).rejects.toMatchObject({
      code: 'image-too-large',
      message: 'the SVG has more than 134,217,728 bytes when it is unpacked. Export it as PNG, or make it simpler.',
    });
  });

  test('is packed and cut', async () => {
    const packed = gzipSync(SMALL.replace('<rect', `<!-- ${'x y z '.repeat(500)}--><rect`));
    await expect(drawn(packed.subarray(0, packed.length - 12))).rejects.toMatchObject({ code: 'unreadable-image' });
  });

  test('refers to a file of the system', async () => {
    const text = `<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/hostname">]>${SMALL.replace('<rect', '<text>&x;</text><rect')}`;
    await expect(drawn(text)).rejects.toMatchObject({ code: 'unreadable-image' });
  });
});
