import * as fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { numberOf, readTiff, TAG, textOf } from '../../../src/images/kinds/tiff-directory.ts';
import { tiffPicture } from '../../../src/images/kinds/tiff-picture.ts';

const kind = (name: string): Buffer =>
  readFileSync(fileURLToPath(new URL(`../../fixtures/images/kinds/${name}`, import.meta.url)));

describe('the directories of a TIFF', () => {
  test('are the pages, and those below a page', () => {
    const file = readTiff(kind('page-below.tif'));
    if (file === undefined) throw new Error('it is no TIFF');
    const [page] = file.pages;
    if (page === undefined) throw new Error('it has no page');
    expect([file.pages.length, page.below.length]).toEqual([1, 1]);
    expect(numberOf(file, page, TAG.imageWidth)).toBe(15);
    expect(page.below.map((below) => numberOf(file, below, TAG.imageWidth))).toEqual([60]);
  });

  test('may have text, and numbers of either byte order', () => {
    const big = readTiff(kind('cmyk16-big-endian.tif'));
    if (big === undefined) throw new Error('it is no TIFF');
    expect([big.littleEndian, tiffPicture(big)?.bits]).toEqual([false, 16]);
    const data = readTiff(kind('float-no-data.tif'));
    const [page] = data?.pages ?? [];
    if (data === undefined || page === undefined) throw new Error('it has no page');
    expect([textOf(data, page, TAG.gdalNoData), tiffPicture(data)?.noData]).toEqual(['-9999', -9999]);
  });

  test('that lead back to one another are read once', () => {
    const bytes = Buffer.from(kind('page-document.tif'));
    const first = bytes.readUInt32LE(4);
    const entries = bytes.readUInt16LE(first);
    bytes.writeUInt32LE(first, first + 2 + entries * 12);
    expect(readTiff(bytes)?.pages).toHaveLength(1);
  });

  test('with four thousand million samples a pixel are those of a damaged file, and take no memory', () => {
    const bytes = Buffer.from(kind('float-no-data.tif'));
    const SAMPLES_PER_PIXEL = Buffer.from([0x15, 0x01]);
    const entry = bytes.indexOf(SAMPLES_PER_PIXEL, 8);
    bytes.writeUInt16LE(4, entry + 2);
    bytes.writeUInt32LE(0xffff_ffff, entry + 8);
    const file = readTiff(bytes);
    expect(file && tiffPicture(file)?.samples).toBe(0xffff);
  });

  test('are read or not there in any damaged file', () => {
    const seeds = ['page-below.tif', 'rgb16-p3-alpha.tif', 'float-no-data.tif', 'cmyk16-big-endian.tif'].map(kind);
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(
        fc.constantFrom(...seeds),
        damage,
        fc.double({ min: 0, max: 1, noNaN: true }),
        (seed, changes, part) => {
          const bytes = Buffer.from(seed.subarray(0, Math.ceil(seed.length * part)));
          for (const [at, value] of changes) if (bytes.length > 0) bytes[at % Math.min(bytes.length, 400)] = value;
          const file = readTiff(bytes);
          if (file !== undefined) tiffPicture(file);
        },
      ),
      { numRuns: 500 },
    );
  });
});
