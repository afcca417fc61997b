import * as fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { isoPicture } from '../../../src/images/kinds/iso-picture.ts';
import { jpegXlSize } from '../../../src/images/kinds/jpeg-xl-size.ts';

const kind = (name: string): Buffer =>
  readFileSync(fileURLToPath(new URL(`../../fixtures/images/kinds/${name}`, import.meta.url)));

test.each([
  ['plain.heic', { codec: 'hvc1', width: 60, height: 40, bits: 8 }],
  ['turned6.heic', { codec: 'hvc1', width: 40, height: 60, bits: 8 }],
  ['deep10.heic', { codec: 'hvc1', width: 60, height: 40, bits: 10 }],
  ['deep12.heic', { codec: 'hvc1', width: 60, height: 40, bits: 12 }],
  ['animated.avif', { codec: 'av01', width: 60, height: 40, bits: 8 }],
  ['p3-code-points.avif', { codec: 'av01', codePoints: { primaries: 12, transfer: 13 } }],
])('the boxes of %s say what its picture is', (name, expected) => {
  expect(isoPicture(kind(name))).toMatchObject(expected);
});

test('the boxes hold the profile', () => {
  expect(isoPicture(kind('p3.heic'))?.icc?.length).toBeGreaterThan(300);
  expect(isoPicture(kind('plain.heic'))?.icc).toBeUndefined();
});

test('a damaged file has a picture or none', () => {
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(fc.constantFrom('plain.heic', 'p3.avif', 'animated.avif'), damage, (name, changes) => {
      const bytes = Buffer.from(kind(name));
      for (const [at, value] of changes) bytes[at % 600] = value;
      isoPicture(bytes);
    }),
    { numRuns: 500 },
  );
});

test.each(['plain.jxl', 'alpha.jxl'])('the header of %s has its size', (name) => {
  expect(jpegXlSize(kind(name))).toEqual({ width: 60, height: 40 });
});
