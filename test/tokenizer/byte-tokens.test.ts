import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeByteTokens } from '../../src/tokenizer/byte-tokens.ts';

const byteToken = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;

describe('byte tokens', () => {
  test('of any text are that text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), (text) => {
        const bytes = [...Buffer.from(text)];
        expect(decodeByteTokens(bytes.map(byteToken))).toEqual([Buffer.from(bytes).toString('utf8')]);
      }),
    );
  });

  test('leave other tokens alone, and those that only look alike', () => {
    const tokens = ['▁a', '<0x4>', '<0x4G>', '<0x041>', '0x41', '<s>', ''];
    expect(decodeByteTokens(tokens)).toEqual(tokens);
  });

  test('of a run that is not UTF-8 become one U+FFFD each, the valid ones too', () => {
    expect(decodeByteTokens(['a', '<0x41>', '<0xC3>', '<0x42>', 'b', '<0x43>'])).toEqual([
      'a',
      '\uFFFD\uFFFD\uFFFD',
      'b',
      'C',
    ]);
  });

  test('of a byte order mark are kept', () => {
    expect(decodeByteTokens(['<0xEF>', '<0xBB>', '<0xBF>'])).toEqual(['\uFEFF']);
  });
});
