import { assert, constantFrom, property, string } from 'fast-check';
import { expect, test } from 'vitest';
import { excludeMatcher } from '../../src/images/glob-matcher.ts';

test.each([
  ['*.png', 'a.png', true],
  ['*.png', 'p/q/a.png', true],
  ['*.png', 'a.png.jpg', false],
  ['*.png', 'a.png/b.jpg', true],
  ['thumbs', 'p/thumbs/a.jpg', true],
  ['thumbs', 'p/thumbsup/a.jpg', false],
  ['thumbs/', 'thumbs/a.jpg', true],
  ['p/*.jpg', 'p/a.jpg', true],
  ['p/*.jpg', 'p/q/a.jpg', false],
  ['p/*.jpg', 'x/p/a.jpg', false],
  ['p/**/a.jpg', 'p/a.jpg', true],
  ['p/**/a.jpg', 'p/q/r/a.jpg', true],
  ['**/thumbs/*.jpg', 'thumbs/a.jpg', true],
  ['**/thumbs/*.jpg', '/abs/thumbs/a.jpg', true],
  ['p/**', 'p/a.jpg', true],
  ['p/**', 'pa.jpg', false],
  ['./p/a.jpg', 'p/a.jpg', true],
  ['IMG_????.jpg', 'IMG_0042.jpg', true],
  ['IMG_????.jpg', 'IMG_042.jpg', false],
  ['?.jpg', '🐱.jpg', true],
  ['[a-c].jpg', 'b.jpg', true],
  ['[!a-c].jpg', 'b.jpg', false],
  ['[!a-c].jpg', 'd.jpg', true],
  ['x[!a]y', 'x/y', false],
  ['[]].jpg', '].jpg', true],
  ['*.{jpg,jp{e,2}g}', 'a.jpeg', true],
  ['*.{jpg,jp{e,2}g}', 'a.png', false],
  ['a{b.jpg', 'a{b.jpg', true],
  ['a,b}.jpg', 'a,b}.jpg', true],
  ['[a.jpg', '[a.jpg', true],
  [String.raw`\*.jpg`, '*.jpg', true],
  [String.raw`\*.jpg`, 'a.jpg', false],
  ['a+(b)^$|.jpg', 'a+(b)^$|.jpg', true],
  ['new*.jpg', 'new\nline.jpg', true],
])('%j against %j gives %s', (pattern, path, expected) => {
  expect(excludeMatcher([pattern])(path)).toBe(expected);
});

test('no pattern excludes nothing, and one of several is enough', () => {
  expect(excludeMatcher([])('a.jpg')).toBe(false);
  expect(excludeMatcher(['*.png', 'a*'])('a.jpg')).toBe(true);
});

test('any text is a pattern', () => {
  assert(
    property(string({ unit: 'binary' }), string(), (pattern, path) => {
      expect(typeof excludeMatcher([pattern])(path)).toBe('boolean');
    }),
  );
  const syntax = string({ unit: constantFrom(...'*?[]{},!^-\\/a.'.split('')) });
  assert(
    property(syntax, (pattern) => typeof excludeMatcher([pattern])('a/a.a') === 'boolean'),
    { numRuns: 2000 },
  );
});
