import { expect, test } from 'vitest';
import { endingOf, meaningOfEnding } from '../../../src/images/discovery/endings.ts';
import { KINDS } from '../../../src/images/kinds/kinds.ts';

test('images are known by their ending in any case, also those that are not read', () => {
  const images = [
    'a.jpg',
    'p.x/a.JPEG',
    'a.HEIC',
    'a.mpo',
    'a.apng',
    'a.svgz',
    'a.jfif',
    'a.bmp',
    'a.NEF',
    'a.psd',
    'a.ico',
  ];
  expect(images.map(meaningOfEnding)).toEqual(images.map(() => 'image'));
});

test('what lies beside images is known too, and everything else must be looked into', () => {
  const others = ['IMG_0001.MOV', 'IMG_0001.AAE', 'a.jpg.json', 'a.xmp', 'a.txt', 'a.MP4', 'a.zip'];
  expect(others.map(meaningOfEnding)).toEqual(others.map(() => 'other'));
  const unknown = ['IMG_0001', 'a.dat', 'a.jpg.bak', '.jpg', 'a.', 'p.jpg/a', 'a.jpgx', 'a.raw', 'a.constructor'];
  expect(unknown.map(meaningOfEnding)).toEqual(unknown.map(() => 'unknown'));
});

test('every ending of a kind that is read is that of an image', () => {
  for (const { endings, readable } of KINDS) {
    if (readable) expect(endings.map((ending) => meaningOfEnding(`a${ending}`))).toEqual(endings.map(() => 'image'));
  }
});

test('an ending is behind the last dot of the last name, and a name is before it', () => {
  expect(['a.JPG', 'a.tar.gz', 'p.x/a', '.jpg', 'a.', ''].map(endingOf)).toEqual(['.jpg', '.gz', '', '', '', '']);
});
