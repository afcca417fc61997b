import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { printable } from '../../src/output/printable.ts';

/** Texts of any UTF-16 code units, halves of surrogate pairs included. */
const anyText = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) });

test.each([
  ['new\nline\tand\rreturn', 'new\\nline\\tand\\rreturn'],
  ['\u001b[31mred', '\\x1b[31mred'],
  ['C1 \u009b31m', 'C1 \\x9b31m'],
  ['delete \u007f', 'delete \\x7f'],
  ['photo\u202egpj.exe', 'photo\\u202egpj.exe'],
  ['isolate \u2066', 'isolate \\u2066'],
  ['half \ud83d.', 'half \\ud83d.'],
])('%j is shown as %s', (text, shown) => {
  expect(printable(text)).toBe(shown);
});

test('letters of every script, emoji and backslashes stay as they are', () => {
  const text = 'Zürich/東京/القاهرة/👩‍👩‍👧 C:\\x.jpg';
  expect(printable(text)).toBe(text);
});

test('nothing that controls a terminal is left of any text', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      expect(printable(text)).not.toMatch(/[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/u);
    }),
  );
});
