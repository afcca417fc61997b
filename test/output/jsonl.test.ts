import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { jsonl } from '../../src/output/jsonl.ts';

/** Texts of any UTF-16 code units, halves of surrogate pairs included. */
const anyText = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) });

test('a record is one line with its keys in the documented order', () => {
  const line = jsonl.encode({ schema: 1, image: 'photos/a.jpg', caption: 'a dog runs' });
  expect(line).toBe('{"schema":1,"image":"photos/a.jpg","caption":"a dog runs"}\n');
});

test('whatever the text, one line comes out and reads back as the same record', () => {
  fc.assert(
    fc.property(anyText, anyText, (image, caption) => {
      const record = { schema: 1, image, caption } as const;
      const line = jsonl.encode(record);
      expect(line.slice(0, -1)).not.toMatch(/[\n\r\u0085\u2028\u2029]/);
      expect(JSON.parse(line)).toEqual(record);
    }),
  );
});

test('a file name that is no valid Unicode does not make the line invalid', () => {
  const line = jsonl.encode({ schema: 1, image: 'bad\ud800.jpg', caption: 'a cat' });
  expect(Buffer.from(line).toString()).toBe(line);
});
