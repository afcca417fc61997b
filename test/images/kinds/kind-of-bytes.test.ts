import * as fc from 'fast-check';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { kindOfBytes } from '../../../src/images/kinds/kind-of-bytes.ts';
import { KINDS, kindOfEnding } from '../../../src/images/kinds/kinds.ts';

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

describe('the kind of a file by its first bytes', () => {
  test.each([
    ['JPEG', '\xFF\xD8\xFF\xE0'],
    ['PNG', '\x89PNG\r\n\x1A\n'],
    ['GIF', 'GIF89a'],
    ['WebP', 'RIFF\0\0\0\0WEBPVP8 '],
    ['TIFF', 'II*\0\x08\0\0\0'],
    ['TIFF', 'MM\0*\0\0\0\x08'],
    ['TIFF', 'II+\0\x08\0\0\0'],
    ['AVIF', '\0\0\0\x1cftypavif\0\0\0\0avifmif1'],
    ['AVIF', '\0\0\0\x1cftypavis\0\0\0\0avismsf1'],
    ['AVIF', '\0\0\0\x1cftypmif1\0\0\0\0mif1avif'],
    ['AVIF', '\0\0\0\x1cftypmiaf\0\0\0\0miafMA1B'],
    ['HEIC', '\0\0\0\x18ftypheic\0\0\0\0mif1heic'],
    ['HEIC', '\0\0\0\x18ftypmif1\0\0\0\0mif1heic'],
    ['HEIC', '\0\0\0\x18ftyphevc\0\0\0\0hevcmsf1'],
    ['Canon camera raw', '\0\0\0\x18ftypcrx \0\0\0\0crx isom'],
    ['Canon camera raw', 'II*\0\x10\0\0\0CR\x02\0'],
    ['Fujifilm camera raw', 'FUJIFILMCCD-RAW 0201'],
    ['Olympus camera raw', 'IIRO\x08\0\0\0'],
    ['Panasonic camera raw', 'IIU\0\x08\0\0\0'],
    ['MP4 or QuickTime video', '\0\0\0\x18ftypisom\0\0\0\0isommp41'],
    ['BMP', 'BM\x36\0\0\0'],
    ['icon', '\0\0\x01\0\x01\0'],
    ['JPEG XL', '\xFF\x0A\xFA\x1F'],
    ['JPEG XL', '\0\0\0\x0CJXL \r\n\x87\n'],
    ['JPEG 2000', '\0\0\0\x0CjP  \r\n\x87\n'],
    ['SVG', '<svg xmlns="http://www.w3.org/2000/svg">'],
    ['SVG', '\xEF\xBB\xBF<?xml version="1.0"?>\n<!-- a drawing -->\n<svg>'],
    ['Netpbm', 'P6\n3 2\n255\n'],
    ['Photoshop', '8BPS\0\x01'],
    ['ZIP archive', 'PK\x03\x04'],
  ])('%s: %j', (name, bytes) => {
    expect(kindOfBytes(latin1(bytes))?.name).toBe(name);
  });

  test('an SVG packed with gzip is an SVG, anything else packed with it is not', () => {
    expect(kindOfBytes(gzipSync('<svg xmlns="http://www.w3.org/2000/svg"></svg>'))?.name).toBe('SVG');
    expect(kindOfBytes(gzipSync('a text'))?.name).toBe('gzip');
  });

  test('a file cut within its signature has its kind, and an empty one has none', () => {
    expect(kindOfBytes(latin1('\x89PN'))?.name).toBe('PNG');
    expect(kindOfBytes(new Uint8Array())).toBeUndefined();
    expect(kindOfBytes(latin1('Zurich'))).toBeUndefined();
  });

  test('any bytes have a kind or none, behind any signature', () => {
    const heads = fc.constantFrom(
      'II*\0\x08\0\0\0',
      'MM\0+\0\x08\0\0',
      '\0\0\0\x1cftypmif1\0\0\0\0',
      '\x1F\x8B\x08',
      '',
    );
    fc.assert(
      fc.property(heads, fc.uint8Array({ maxLength: 300 }), (head, bytes) => {
        const kind = kindOfBytes(Buffer.concat([latin1(head), bytes]));
        expect(kind === undefined || KINDS.includes(kind)).toBe(true);
      }),
    );
  });
});

test('endings stand for kinds in any case, and belong to one kind each', () => {
  expect(kindOfEnding('photos/IMG_0001.HEIC')?.name).toBe('HEIC');
  expect(kindOfEnding('a.b.jpeg')?.name).toBe('JPEG');
  expect(kindOfEnding('raw/x.nef')?.name).toBe('Nikon camera raw');
  expect(kindOfEnding('folder.png/file')).toBeUndefined();
  expect(kindOfEnding('notes.txt')).toBeUndefined();
  const endings = KINDS.flatMap((kind) => kind.endings);
  expect(new Set(endings).size).toBe(endings.length);
});
