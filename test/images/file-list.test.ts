import { expect, test } from 'vitest';
import { readFileList, splitLines } from '../../src/images/file-list.ts';

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
const linesOf = (bytes: Buffer): readonly (string | Buffer)[] => readFileList(bytes, false).names;
const betweenNuls = (text: string): readonly (string | Buffer)[] => readFileList(Buffer.from(text), true).names;

test('lines become entries, with either line ending and without blank ones', () => {
  const text = 'a.jpg\r\n\n  \nb c.jpg\n ü.jpg';
  expect(linesOf(Buffer.from(text))).toEqual(['a.jpg', 'b c.jpg', ' ü.jpg']);
  expect(splitLines(text)).toEqual(['a.jpg', 'b c.jpg', ' ü.jpg']);
});

test('a byte order mark is not part of the first name', () => {
  expect(linesOf(Buffer.from('\uFEFFa.jpg\n'))).toEqual(['a.jpg']);
  expect(splitLines('\uFEFFa.jpg\n')).toEqual(['a.jpg']);
});

test('between NULs newlines, spaces and marks belong to the name, and nothing is an empty name', () => {
  expect(betweenNuls('a\nb.jpg\0 c.jpg\0')).toEqual(['a\nb.jpg', ' c.jpg']);
  expect(betweenNuls('a.jpg\0b.jpg')).toEqual(['a.jpg', 'b.jpg']);
  expect(betweenNuls('\uFEFFa.jpg\0')).toEqual(['\uFEFFa.jpg']);
  expect(betweenNuls('a.jpg\0\0b.jpg\0')).toEqual(['a.jpg', '', 'b.jpg']);
});

test.each([
  ['little', (text: string) => Buffer.from(`\uFEFF${text}`, 'utf16le')],
  ['big', (text: string) => Buffer.from(`\uFEFF${text}`, 'utf16le').swap16()],
])('UTF-16 with a byte order mark is read, the %s end first', (_, encode) => {
  expect(linesOf(encode('ü.jpg\r\n猫 🐱.jpg\r\n'))).toEqual(['ü.jpg', '猫 🐱.jpg']);
  expect(readFileList(encode('ü.jpg\0b.jpg\0'), true).names).toEqual(['ü.jpg', 'b.jpg']);
});

test('a name that is not UTF-8 stays bytes, and the others are text', () => {
  expect(linesOf(latin1('caf\xE9.jpg\r\na.jpg\n\xA0\n'))).toEqual([latin1('caf\xE9.jpg'), 'a.jpg', latin1('\xA0')]);
  expect(readFileList(latin1('caf\xE9.jpg\0a.jpg\0'), true).names).toEqual([latin1('caf\xE9.jpg'), 'a.jpg']);
});

test('lines with NULs in them are refused with the option that helps', () => {
  expect(() => linesOf(Buffer.from('a.jpg\0b.jpg\0'))).toThrow(/add --null/);
});

test('an empty list has no entries', () => {
  expect(linesOf(Buffer.of())).toEqual([]);
  expect(betweenNuls('')).toEqual([]);
  expect(splitLines('')).toEqual([]);
});
