import { expect, test } from 'vitest';
import { splitFileList } from '../../src/images/file-list.ts';

test('lines become entries, with either line ending and without blank ones', () => {
  expect(splitFileList('a.jpg\r\n\n  \nb c.jpg\n ü.jpg', false)).toEqual(['a.jpg', 'b c.jpg', ' ü.jpg']);
});

test('a byte order mark is not part of the first name', () => {
  expect(splitFileList('\uFEFFa.jpg\n', false)).toEqual(['a.jpg']);
});

test('between NULs newlines and spaces belong to the name', () => {
  expect(splitFileList('a\nb.jpg\0 c.jpg\0\0', true)).toEqual(['a\nb.jpg', ' c.jpg']);
});

test('an empty list has no entries', () => {
  expect(splitFileList('', false)).toEqual([]);
  expect(splitFileList('', true)).toEqual([]);
});
