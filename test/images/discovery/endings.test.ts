import { expect, test } from 'vitest';
import { endingOf, meaningOfEnding, unreadKindByEnding } from '../../../src/images/discovery/endings.ts';

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

test('the kind of an image that is not read has a name', () => {
  expect(['a.CR2', 'a.jxl', 'p/a.jp2', 'a.jpg', 'a'].map(unreadKindByEnding)).toEqual([
    'camera raw',
    'JPEG XL',
    'JPEG 2000',
    undefined,
    undefined,
  ]);
});

test('an ending is behind the last dot of the last name, and a name is before it', () => {
  expect(['a.JPG', 'a.tar.gz', 'p.x/a', '.jpg', 'a.', ''].map(endingOf)).toEqual(['.jpg', '.gz', '', '', '', '']);
});
