import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { ImageError } from '../../src/errors.ts';
import { decodeImage, openImage } from '../../src/images/decode.ts';
import {
  decodedFixture,
  difference,
  fixture,
  goldenFile,
  PROFILED,
  READABLE,
  temporaryFolder,
} from './fixture-images.ts';

const limits = { maxPixels: 268_000_000 };

/** AVIF only: libheif here and libavif in the reference enlarge the chroma planes differently (measured after ICC conversion: 0.80, 32). */
const AVIF = 'avif.avif';

describe('decoding', () => {
  const identical = READABLE.filter((name) => !PROFILED.includes(name));

  test.each(identical)('%s has exactly the reference pixels', async (name) => {
    const image = await decodeImage(fixture(name), limits);
    const expected = goldenFile(name);
    expect([image.width, image.height]).toEqual([expected.width, expected.height]);
    expect(createHash('sha256').update(image.data).digest('hex')).toBe(expected.sha256_rgb);
  });

  test.each(PROFILED)('%s is converted from its colour profile', async (name) => {
    const image = await decodeImage(fixture(name), limits);
    const expected = goldenFile(name);
    expect([image.width, image.height]).toEqual([expected.width, expected.height]);
    expect(createHash('sha256').update(image.data).digest('hex')).not.toBe(expected.sha256_rgb);
  });

  test('an AVIF differs from the reference by its chroma alone', async () => {
    const raw = await sharp(fixture(AVIF), { ignoreIcc: true }).raw().toBuffer();
    const expected = await sharp(decodedFixture(AVIF)).raw().toBuffer();
    const { max, mean } = difference(raw, expected);
    expect(mean).toBeLessThan(0.9);
    expect(max).toBeLessThanOrEqual(32);
  });

  test('a JPEG is decoded at full size', async () => {
    const folder = await temporaryFolder();
    const path = join(folder, 'large.jpg');
    await sharp({ create: { width: 2000, height: 1000, channels: 3, background: 'teal' } })
      .jpeg()
      .toFile(path);
    const image = await decodeImage(path, limits);
    expect([image.width, image.height, image.data.length]).toEqual([2000, 1000, 2000 * 1000 * 3]);
  });

  test.each([
    [1, 3, [1, 2, 3, 4, 5, 6]],
    [2, 3, [3, 2, 1, 6, 5, 4]],
    [3, 3, [6, 5, 4, 3, 2, 1]],
    [4, 3, [4, 5, 6, 1, 2, 3]],
    [5, 2, [1, 4, 2, 5, 3, 6]],
    [6, 2, [4, 1, 5, 2, 6, 3]],
    [7, 2, [6, 3, 5, 2, 4, 1]],
    [8, 2, [3, 6, 2, 5, 1, 4]],
  ])('EXIF orientation %i is turned upright', async (orientation, width, levels) => {
    const stored = Uint8Array.of(1, 2, 3, 4, 5, 6); // two rows of three
    const path = join(await temporaryFolder(), 'turned.png');
    await sharp(stored, { raw: { width: 3, height: 2, channels: 1 } })
      .withMetadata({ orientation })
      .png()
      .toFile(path);
    const image = await decodeImage(path, limits);
    expect(image.width).toBe(width);
    expect([...image.data]).toEqual(levels.flatMap((level) => [level, level, level]));
  });

  test('transparency goes on black or is dropped when asked for', async () => {
    const folder = await temporaryFolder();
    const path = join(folder, 'half.png');
    const rgba = Uint8Array.of(200, 100, 50, 128, 10, 20, 30, 0);
    await sharp(rgba, { raw: { width: 2, height: 1, channels: 4 } })
      .png()
      .toFile(path);
    const pixels = async (alpha?: 'white' | 'black' | 'drop') => [
      ...(await decodeImage(path, alpha === undefined ? limits : { ...limits, alpha })).data,
    ];
    expect(await pixels()).toEqual([227, 177, 152, 255, 255, 255]);
    expect(await pixels('white')).toEqual(await pixels());
    expect(await pixels('black')).toEqual([100, 50, 25, 0, 0, 0]);
    expect(await pixels('drop')).toEqual([200, 100, 50, 10, 20, 30]);
  });

  test('16-bit transparency is rounded to 8 bits before it is composited', async () => {
    const folder = await temporaryFolder();
    const path = join(folder, 'deep.png');
    const rgba = Uint16Array.of(51_400, 25_700, 12_850, 32_896);
    await sharp(rgba, { raw: { width: 1, height: 1, channels: 4 } })
      .toColourspace('rgb16')
      .png()
      .toFile(path);
    expect([...(await decodeImage(path, limits)).data]).toEqual([227, 177, 152]);
  });

  test('CMYK with a profile is converted by the profile instead of the plain formula', async () => {
    const folder = await temporaryFolder();
    const path = join(folder, 'print.jpg');
    await sharp({ create: { width: 16, height: 16, channels: 3, background: { r: 220, g: 200, b: 180 } } })
      .withIccProfile('cmyk')
      .toColourspace('cmyk')
      .jpeg({ quality: 100 })
      .toFile(path);
    const header = await sharp(path).metadata();
    expect([header.space, header.icc === undefined]).toEqual(['cmyk', false]);
    const { data } = await decodeImage(path, limits);
    // What littleCMS makes of C 0, M 15, Y 36, K 41 by this profile. The plain formula gives 214, 201, 184.
    expect([...data.subarray(0, 3)]).toEqual([213, 199, 180]);
  });

  test('an SVG is drawn on white at its own size', async () => {
    const folder = await temporaryFolder();
    const path = join(folder, 'drawing.svg');
    const svg =
      '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="2"><rect width="2" height="2" fill="#f00"/></svg>';
    await writeFile(path, svg);
    const image = await decodeImage(path, limits);
    expect([image.width, image.height]).toEqual([4, 2]);
    expect([...image.data.subarray(0, 12)]).toEqual([255, 0, 0, 255, 0, 0, 255, 255, 255, 255, 255, 255]);
  });

  test.each([
    'plain.jpg',
    'a [1].jpg',
    'ends in [page=1]',
    'ümläut 日本 🐱.jpg',
    'new\nline.jpg',
    '-n.jpg',
    '%s*?.jpg',
  ])('a file named %j is read', async (name) => {
    const folder = await temporaryFolder();
    await copyFile(fixture('exif_1.jpg'), join(folder, name));
    expect((await decodeImage(join(folder, name), limits)).width).toBe(60);
  });
});

describe('a file that cannot be decoded', () => {
  test('a truncated JPEG is reported with its length', async () => {
    expect(await failure(fixture('bad_truncated.jpg'))).toEqual({
      code: 'truncated-image',
      message: 'the JPEG ends after 2,612 bytes; the file is probably truncated.',
    });
  });

  test('a truncated PNG is reported with its length', async () => {
    expect(await failure(fixture('bad_truncated.png'))).toEqual({
      code: 'truncated-image',
      message: 'the PNG ends after 17,555 bytes; the file is probably truncated.',
    });
  });

  test('an empty file is reported as empty', async () => {
    expect(await failure(fixture('bad_empty.jpg'))).toEqual({
      code: 'empty-file',
      message: 'the file is empty (0 bytes).',
    });
  });

  test('a text file named .jpg is reported as text', async () => {
    expect(await failure(fixture('bad_text.jpg'))).toEqual({
      code: 'unsupported-format',
      message:
        'the file contains text, not an image. minigpt reads JPEG, PNG, WebP, AVIF, HEIC, GIF, TIFF, SVG, BMP and JPEG XL.',
    });
  });

  test('an image of 2.5 billion pixels is refused without allocating them', async () => {
    const before = process.memoryUsage().rss;
    expect(await failure(fixture('bad_bomb.png'))).toEqual({
      code: 'image-too-large',
      message:
        'the image has 50,000 x 50,000 pixels, which is more than the limit of 268,000,000 pixels. Make it smaller, or raise the limit with --max-pixels.',
    });
    expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
  });

  test('an image of exactly the limit is read and one pixel more is refused', async () => {
    const pixels = 160 * 106;
    expect((await decodeImage(fixture('chelsea.png'), { maxPixels: pixels })).width).toBe(160);
    const refused = decodeImage(fixture('chelsea.png'), { maxPixels: pixels - 1 });
    await expect(refused).rejects.toMatchObject({ code: 'image-too-large' });
  });

  test('a file that vanished after it was listed is not found', async () => {
    const folder = await temporaryFolder();
    const path = join(folder, 'gone.jpg');
    await copyFile(fixture('exif_1.jpg'), path);
    await rm(path);
    expect(await failure(path)).toEqual({ code: 'file-not-found', message: 'there is no such file.' });
    expect((await failure(join(fixture('exif_1.jpg'), 'inside.jpg'))).code).toBe('file-not-found');
    expect((await failure('nul\0byte.jpg')).code).toBe('file-not-found');
    expect((await failure('')).code).toBe('file-not-found');
    expect((await failure('x'.repeat(5000))).code).toBe('file-not-found');
  });

  test.skipIf(process.getuid?.() === 0 || process.platform === 'win32')(
    'a file without read permission is reported as such',
    async () => {
      const folder = await temporaryFolder();
      const path = join(folder, 'secret.jpg');
      await copyFile(fixture('exif_1.jpg'), path);
      await chmod(path, 0o000);
      expect((await failure(path)).code).toBe('permission-denied');
    },
  );

  test('a folder given as an image is refused', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'album.jpg'));
    expect(await failure(join(folder, 'album.jpg'))).toEqual({
      code: 'unsupported-format',
      message: 'this is a folder, not an image file.',
    });
  });

  test.skipIf(process.platform === 'win32')('a device is refused without reading it', async () => {
    expect(await failure('/dev/zero')).toEqual({
      code: 'unreadable-image',
      message: 'this is a device, not an image file.',
    });
  });

  test.each([
    ['JPEG 2000', '\0\0\0\x0CjP  \r\n\x87\n', 'a JPEG 2000 file'],
    ['PDF', '%PDF-1.7\n', 'a PDF file'],
    ['Photoshop', '8BPS\0\x01', 'a Photoshop file'],
    ['Canon raw', '\0\0\0\x18ftypcrx \0\0\0\0crx isom', 'a Canon camera raw file'],
    ['video', '\0\0\0\x18ftypisom\0\0\0\0', 'an MP4 or QuickTime video file'],
  ])('%s is named as a format that is not read', async (_, content, named) => {
    const path = await fileOf(Buffer.from(content, 'latin1'));
    const { code, message } = await failure(path);
    expect(code).toBe('unsupported-format');
    expect(message).toContain(`the file is ${named}, which cannot be read.`);
  });

  test.each([
    ['an HTML page', '<!DOCTYPE html><html><body>404</body></html>'],
    ['XML', '<?xml version="1.0"?><root/>'],
    ['text', 'Zürich, 日本'],
    ['content of an unknown kind', '\0\x01\x02\x03\x04\x05\x06\x07\x08'],
  ])('%s instead of an image is described', async (description, content) => {
    const { code, message } = await failure(await fileOf(Buffer.from(content)));
    expect(code).toBe('unsupported-format');
    expect(message).toContain(`the file contains ${description}, not an image.`);
  });

  const CUT = [
    'jpeg_420.jpg',
    'jpeg_progressive.jpg',
    'chelsea.png',
    'webp_lossy.webp',
    'webp_animated.webp',
    'tiff_lzw.tif',
    AVIF,
  ];
  test.each(CUT)('%s cut anywhere before its last pixels is reported as truncated', async (name) => {
    const bytes = await readFile(fixture(name));
    for (const part of [0.02, 0.1, 0.3, 0.5, 0.8, 0.95]) {
      const length = Math.trunc(bytes.length * part);
      const { code, message } = await failure(await fileOf(bytes.subarray(0, length)));
      expect(code, `${length} bytes`).toBe('truncated-image');
      expect(message).toContain(`ends after ${length.toLocaleString('en-US')} bytes`);
    }
  });

  test('a GIF cut within its first frame is truncated, and after it is read', async () => {
    const bytes = await readFile(fixture('gif_animated.gif'));
    expect((await failure(await fileOf(bytes.subarray(0, 400)))).code).toBe('truncated-image');
    const first = await decodeImage(await fileOf(bytes.subarray(0, bytes.length - 200)), limits);
    expect([first.width, first.height]).toEqual([48, 36]);
  });

  test('a TIFF with its directory in front and its strips cut off is truncated', async () => {
    const whole = await readFile(await stripTiff());
    expect((await decodeImage(await fileOf(whole), limits)).width).toBe(8);
    expect((await failure(await fileOf(whole.subarray(0, whole.length - 10)))).code).toBe('truncated-image');
    expect((await failure(await fileOf(whole.subarray(0, 20)))).code).toBe('truncated-image');
  });

  test('an SVG cut within an element is truncated', async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="2"><rect width="2" hei';
    expect((await failure(await fileOf(Buffer.from(svg)))).code).toBe('truncated-image');
  });

  test('any beginning of a JPEG fails with a one-line message', async () => {
    const bytes = await readFile(fixture('exif_1.jpg'));
    for (let length = 1; length < 700; length += 13) {
      const { code, message } = await failure(await fileOf(bytes.subarray(0, length)));
      expect(['truncated-image', 'unreadable-image'], `${length} bytes`).toContain(code);
      expect(message).not.toMatch(/\p{Cc}/u);
    }
  });

  test.each(['chelsea.png', 'webp_lossy.webp', 'tiff_lzw.tif', AVIF])(
    '%s with damaged data of full length is unreadable, not truncated',
    async (name) => {
      const bytes = await readFile(fixture(name));
      for (let at = bytes.length >> 1; at < (bytes.length >> 1) + 40; at++) bytes[at] = (at * 37) & 255;
      const { code, message } = await failure(await fileOf(bytes));
      expect(code).toBe('unreadable-image');
      expect(message).toMatch(/^the \w+ is damaged and cannot be decoded( \([^\n]{1,120}\))?\. Try to open/);
      expect(message).not.toMatch(/\p{Cc}/u);
    },
  );

  test('the library error stays reachable as the cause', async () => {
    const error = await decodeImage(fixture('bad_truncated.png'), limits).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ImageError);
    expect((error as ImageError).cause).toBeInstanceOf(Error);
  });

  test('an aborted signal stops with its reason', async () => {
    const reason = new Error('stopped');
    await expect(decodeImage(fixture('exif_1.jpg'), limits, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});

test.each([
  ['chelsea.png', 160 * 106 * 3],
  ['rgba.png', 90 * 70 * 4],
  ['rgb16.png', 90 * 70 * 3 * 2],
  ['exif_6.jpg', 60 * 40 * 3 * 2],
])('%s states the memory that decoding takes', async (name, pixelBytes) => {
  const { decodedBytes } = await openImage(fixture(name), limits);
  expect(decodedBytes).toBe((await readFile(fixture(name))).length + pixelBytes);
});

/** Code and message of the error that decoding `path` ends with. */
async function failure(path: string): Promise<{ code: string; message: string }> {
  const error = await decodeImage(path, limits).then(
    () => new Error('it was decoded'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ImageError)) throw error;
  return { code: error.code, message: error.message };
}

async function fileOf(bytes: Uint8Array): Promise<string> {
  const path = join(await temporaryFolder(), 'file.jpg');
  await writeFile(path, bytes);
  return path;
}

/** A little-endian grey TIFF of 8 x 8 pixels whose directory precedes its one strip. */
async function stripTiff(): Promise<string> {
  const entries = [
    [256, 3, 1, 8],
    [257, 3, 1, 8],
    [258, 3, 1, 8],
    [259, 3, 1, 1],
    [262, 3, 1, 1],
    [273, 4, 1, 8 + 2 + 9 * 12 + 4],
    [277, 3, 1, 1],
    [278, 3, 1, 8],
    [279, 4, 1, 64],
  ] as const;
  const bytes = Buffer.alloc(8 + 2 + entries.length * 12 + 4 + 64, 100);
  bytes.write('II*\0', 'latin1');
  bytes.writeUInt32LE(8, 4);
  bytes.writeUInt16LE(entries.length, 8);
  entries.forEach(([tag, type, count, value], index) => {
    const at = 10 + index * 12;
    bytes.writeUInt16LE(tag, at);
    bytes.writeUInt16LE(type, at + 2);
    bytes.writeUInt32LE(count, at + 4);
    bytes.writeUInt32LE(value, at + 8);
  });
  bytes.writeUInt32LE(0, 10 + entries.length * 12);
  return fileOf(bytes);
}
