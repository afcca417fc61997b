import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bertNormalizer } from '../../src/tokenizer/bert-normalizer.ts';

const uncased = bertNormalizer({ clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true });

describe('BERT cleaning', () => {
  test.each([
    ['a\u0000b\uFFFDc\u0007d\u200Be', 'abcde'],
    ['tab\there\r\nnext\u00A0\u3000end', 'tab here  next  end'],
    ['中文\u{20000}x', ' 中  文  \u{20000} x'],
    ['Éc\u0301OLE Ångström', 'ecole angstrom'],
    ['ΟΔΟΣ', 'οδοσ'],
    ['İ', 'i'],
  ])('turns %j into %j', (text, cleaned) => {
    expect(uncased(text)).toBe(cleaned);
  });

  test('keeps case and accents where the config says so', () => {
    const cased = bertNormalizer({
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: false,
    });
    expect(cased('École 中')).toBe('École  中 ');
    const accented = bertNormalizer({ clean_text: true, strip_accents: false, lowercase: true });
    expect(accented('École 中')).toBe('école 中');
    const stripped = bertNormalizer({ strip_accents: true, lowercase: false });
    expect(stripped('École\u0007')).toBe('Ecole\u0007');
  });

  test('of what is clean already changes only spaces', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const once = uncased(text);
        expect(uncased(once).replaceAll(' ', '')).toBe(once.replaceAll(' ', ''));
      }),
    );
  });
});
