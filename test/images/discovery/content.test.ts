import { describe, expect, test } from 'vitest';
import { isImageHead, looksLikeImage } from '../../../src/images/discovery/content.ts';

const padded = (head: string): Buffer => Buffer.concat([Buffer.from(head, 'latin1'), Buffer.alloc(64)]);

const asFile = (
  bytes: Buffer,
): { asked: number[]; readHead: (file: string, length: number) => Promise<Uint8Array> } => {
  const asked: number[] = [];
  return {
    asked,
    readHead: async (_, length) => {
      asked.push(length);
      return bytes.subarray(0, length);
    },
  };
};

describe('an image is recognised by its first bytes', () => {
  test.each([
    ['JPEG', '\xFF\xD8\xFF\xE0\0\x10JFIF'],
    ['PNG', '\x89PNG\r\n\x1A\n'],
    ['GIF', 'GIF89a'],
    ['WebP', 'RIFF\x10\0\0\0WEBPVP8 '],
    ['TIFF', 'II*\0\x08\0\0\0'],
    ['AVIF', '\0\0\0\x18ftypavif'],
    ['HEIC', '\0\0\0\x18ftypheic'],
    ['JPEG XL', '\0\0\0\x0CJXL \r\n\x87\n'],
    ['Photoshop', '8BPS\0\x01'],
    ['BMP', 'BM\x36\0\x01\0\0\0\0\0\x36\0\0\0\x28\0\0\0'],
    ['icon', '\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0'],
  ])('%s', (_, head) => {
    expect(isImageHead(padded(head))).toBe(true);
  });
});

describe('no image is', () => {
  test.each([
    ['an empty file', Buffer.of()],
    ['the first byte of a JPEG', Buffer.of(0xff)],
    ['a text', Buffer.from('a long text about nothing in particular')],
    ['a text that begins like a BMP', Buffer.from('BMW builds motorcycles in Berlin, and has for long.')],
    ['a PDF', padded('%PDF-1.7\n')],
    ['a video', padded('\0\0\0\x18ftypisom')],
    ['a Matroska video', padded('\x1A\x45\xDF\xA3')],
    ['PostScript', padded('%!PS-Adobe-3.0')],
    ['a ZIP archive', padded('PK\x03\x04')],
    ['a gzip file', padded('\x1F\x8B\x08')],
    ['a row of numbers that begins like an icon', padded('\0\0\x01\0\0\0\x02\0\0\0\x03\0')],
  ])('%s', (_, bytes) => {
    expect(isImageHead(bytes)).toBe(false);
  });
});

test('64 bytes are read, and more only of what could be an SVG', async () => {
  const jpeg = asFile(padded('\xFF\xD8\xFF\xE0'));
  expect(await looksLikeImage('a', jpeg)).toBe(true);
  expect(jpeg.asked).toEqual([64]);

  const prologue =
    '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<!-- Drawn with a program of a long name -->\n';
  const svg = asFile(Buffer.from(`${prologue}<svg xmlns="http://www.w3.org/2000/svg"/>`));
  expect(await looksLikeImage('a', svg)).toBe(true);
  expect(svg.asked).toEqual([64, 4096]);
  expect(await looksLikeImage('a', asFile(Buffer.from(`${prologue}<catalog><book/></catalog>`)))).toBe(false);
});
