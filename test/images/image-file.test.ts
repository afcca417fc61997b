import { assert, property, uint8Array } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isEscapedPath, pathBytes, systemPath, writtenPath } from '../../src/images/image-file.ts';

const onWindows = process.platform === 'win32';
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
const raw = String.raw;

describe.skipIf(onWindows)('the written form', () => {
  test.each([
    ['plain names', Buffer.from('p/ü 猫 🐱.jpg'), 'p/ü 猫 🐱.jpg'],
    ['a byte that belongs to no character', latin1('caf\xE9.jpg'), raw`caf\xE9.jpg`],
    ['bytes beside characters', Buffer.concat([Buffer.from('é'), latin1('\xE9\xFF')]), raw`é\xE9\xFF`],
    ['the beginning of a character at the end', latin1('a\xF0\x9F\x90'), raw`a\xF0\x9F\x90`],
    ['a surrogate, which is no character', latin1('\xED\xA0\x80'), raw`\xED\xA0\x80`],
    ['a backslash before what would be an escape', Buffer.from(raw`a\xE9.jpg`), raw`a\x5CxE9.jpg`],
    ['other backslashes', Buffer.from(raw`a\b\x1\xe9\\`), raw`a\b\x1\xe9\\`],
  ])('%s', (_, bytes, written) => {
    expect(writtenPath(bytes)).toBe(written);
    expect(pathBytes(written)).toEqual(bytes);
  });

  test('any bytes come back, and are text only where they were', () => {
    assert(
      property(uint8Array({ maxLength: 12 }), (bytes) => {
        const written = writtenPath(Buffer.from(bytes));
        expect(Buffer.from(written).toString()).toBe(written);
        expect(pathBytes(written)).toEqual(Buffer.from(bytes));
      }),
    );
    // Bytes that look like escapes and halves of them are rare among all.
    const confusing = uint8Array({ maxLength: 12 }).map((bytes) =>
      bytes.map((byte) => latin1('\\xE9\xE95C')[byte % 7] ?? 0),
    );
    assert(
      property(confusing, confusing, (a, b) => {
        const [first, second] = [writtenPath(Buffer.from(a)), writtenPath(Buffer.from(b))];
        expect(pathBytes(first)).toEqual(Buffer.from(a));
        expect(first === second).toBe(Buffer.compare(a, b) === 0);
      }),
    );
  });

  test('a name without escapes is opened as the text that it is', () => {
    expect(systemPath('p/ü.jpg')).toBe('p/ü.jpg');
    expect(systemPath(raw`caf\xE9.jpg`)).toEqual(latin1('caf\xE9.jpg'));
  });

  test('an escape is one that would be written', () => {
    expect(isEscapedPath(raw`caf\xE9.jpg`)).toBe(true);
    expect(isEscapedPath(raw`a\x5CxE9.jpg`)).toBe(true);
    // A letter is no escape, and neither is a character of UTF-8 in pieces.
    expect([raw`\x41.jpg`, raw`\xC3\xA9.jpg`, raw`\xe9.jpg`, raw`\x5Ca.jpg`].map(isEscapedPath)).toEqual(
      Array(4).fill(false),
    );
  });
});
