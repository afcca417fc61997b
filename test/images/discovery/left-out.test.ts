import { expect, test } from 'vitest';
import { LeftOut } from '../../../src/images/discovery/left-out.ts';

function leftOut(...paths: string[]): LeftOut {
  const files = new LeftOut();
  for (const path of paths) files.addFile(path, 'no image');
  return files;
}

test('other files are counted by their ending', () => {
  const files = leftOut('a.MOV', 'b.mov', 'p/c.mov', '1.txt', '2.txt', '3.txt', '4.txt');
  expect([files.count, files.sentence]).toEqual([7, '7 other files left out: 3 .mov, 4 .txt.']);
});

test('one file is one file, and none is no sentence', () => {
  expect(leftOut('README').sentence).toBe('1 other file left out: 1 without an ending.');
  expect(leftOut().sentence).toBeUndefined();
});

test('of many kinds the most frequent are named', () => {
  const endings = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].flatMap((ending, index) =>
    Array.from({ length: 9 - index }, (_, at) => `${at}.${ending}`),
  );
  expect(leftOut(...endings).sentence).toBe(
    '44 other files left out: 9 .a, 8 .b, 7 .c, 6 .d, 5 .e, 4 .f, 5 of other kinds.',
  );
});

test('hidden images are counted apart, and what the user does not want is only listed', () => {
  const files = leftOut('b.mov', 'a.photo of a very long day');
  files.addHiddenImage('.a.jpg');
  files.addUnwanted('thumbs', '--exclude');
  expect(files.sentence).toBe('3 other files left out: 1 .mov, 1 hidden, 1 without an ending.');
  expect(files.paths.map(({ path, reason }) => `${path}: ${reason}`)).toEqual([
    '.a.jpg: hidden',
    'a.photo of a very long day: no image',
    'b.mov: no image',
    'thumbs: --exclude',
  ]);
});
