import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StreamReplacement } from '../../src/tokenizer/stream-replacement.ts';
import { loadTokenizer, type Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { TOKENIZER_NAMES, tokenizerOf, TOKENIZERS } from './tokenizer-fixtures.ts';

function piecesOf(tokenizer: Tokenizer, ids: readonly number[]): string[] {
  const decoder = tokenizer.startDecoding();
  return [...ids.map((id) => decoder.add(id)), decoder.rest()];
}

describe.each(TOKENIZER_NAMES)('a text decoded id by id with %s', async (name) => {
  const tokenizer = await tokenizerOf(name);
  const id = fc.integer({ min: 0, max: tokenizer.tokenCount + 2 });
  const seldom = { maxLength: 40 };

  test('is the text of all ids together, whatever the ids are', () => {
    fc.assert(
      fc.property(fc.array(id, seldom), (ids) => {
        expect(piecesOf(tokenizer, ids).join('')).toBe(tokenizer.decode(ids));
      }),
      { numRuns: 300 },
    );
  });

  test('is the text of all ids together where they are bytes, spaces, apostrophes and special tokens', () => {
    // Ids of these texts cut anywhere: what a neighbour can change about a text.
    const texts = [
      ' ',
      '  ',
      " '",
      "'",
      " 's",
      " n't",
      " 've",
      ' .',
      '.',
      'n',
      '\n',
      'é',
      '漢',
      '👩‍👧',
      '\u{1F600}',
      'a',
    ];
    const awkward = texts.flatMap((text) => tokenizer.encode(text, { addSpecialTokens: true }));
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...awkward), seldom), (ids) => {
        expect(piecesOf(tokenizer, ids).join('')).toBe(tokenizer.decode(ids));
      }),
      { numRuns: 300 },
    );
  });

  test('never shows a broken character of a text that has none', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 12 }), (text) => {
        const ids = tokenizer.encode(text, { addSpecialTokens: true });
        fc.pre(!tokenizer.decode(ids).includes('\uFFFD'));
        for (const piece of piecesOf(tokenizer, ids)) expect(piece).not.toMatch(/\uFFFD|\p{Cs}/u);
      }),
    );
  });

  test('does not wait for the end: plain words come as soon as they are read', () => {
    const ids = tokenizer.encode('a dog and a cat and a dog', { addSpecialTokens: false });
    const beforeTheEnd = piecesOf(tokenizer, ids).slice(0, -1).join('');
    // Cleaning up may hold a space and the letter behind it.
    expect(tokenizer.decode(ids).length - beforeTheEnd.length).toBeLessThanOrEqual(2);
  });
});

describe('the bytes of one character', () => {
  test('are shown as the character when a token behind them ends their run', async () => {
    const llama = await loadTokenizer(join(TOKENIZERS, 'vicuna'));
    const bytes = ['<0xF0>', '<0x9F>', '<0x98>', '<0x80>'].map((token) => llama.tokenId(token) ?? 0);
    const a = llama.tokenId('a') ?? 0;
    expect(piecesOf(llama, [...bytes, a])).toEqual(['', '', '', '', '😀a', '']);
    expect(piecesOf(llama, bytes)).toEqual(['', '', '', '', '😀']);
    expect(piecesOf(llama, bytes.slice(1))).toEqual(['', '', '', '\uFFFD\uFFFD\uFFFD']);
  });

  test('are shown as the character when the last of them comes, where a token is a string of bytes', async () => {
    const opt = await loadTokenizer(join(TOKENIZERS, 'tiny-opt'));
    const ids = opt.encode('😀', { addSpecialTokens: false });
    expect(ids.length).toBeGreaterThan(1);
    const pieces = piecesOf(opt, ids);
    expect(pieces[ids.length - 1]).toBe('😀');
    expect(pieces.join('')).toBe('😀');
  });
});

test('a replacement in pieces is that of the whole text', () => {
  const letters = fc.array(fc.constantFrom('a', 'b', ' ', "'"), { maxLength: 8 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 6 }), letters, letters, (pieces, pattern, replacement) => {
      fc.pre(pattern !== '');
      const stream = new StreamReplacement(pattern, replacement);
      const replaced = pieces.map((piece) => stream.add(piece)).join('') + stream.rest('');
      expect(replaced).toBe(pieces.join('').replaceAll(pattern, () => replacement));
    }),
    { numRuns: 1000 },
  );
});
