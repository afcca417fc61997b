import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CheckpointError } from '../../../src/errors.ts';
import type { ConvertedTokenizer } from '../../../src/importer/tokenizer/converted-tokenizer.ts';
import { convertSentencePiece } from '../../../src/importer/tokenizer/sentencepiece.ts';
import { loadTokenizer, type Tokenizer } from '../../../src/tokenizer/tokenizer.ts';
import { readGolden, TOKENIZERS } from '../../tokenizer/tokenizer-fixtures.ts';
import {
  bytesField,
  CONTROL,
  LLAMA,
  NORMAL,
  UNKNOWN,
  UNUSED,
  USER_DEFINED,
  writeSentencePiece,
  type WrittenModel,
} from './write-sentencepiece.ts';

const PATH = 'folder/tokenizer.model';
const golden = readGolden();

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'minigpt-sentencepiece-'));
});
afterAll(async () => rm(directory, { recursive: true }));

async function load({ tokenizer, tokenizerConfig }: ConvertedTokenizer): Promise<Tokenizer> {
  await writeFile(join(directory, 'tokenizer.json'), JSON.stringify(tokenizer));
  await writeFile(join(directory, 'tokenizer_config.json'), JSON.stringify(tokenizerConfig));
  return loadTokenizer(directory);
}

const readModel = (path: string): Buffer => readFileSync(join(TOKENIZERS, path));

describe('the model file alone', () => {
  /** What SentencePiece splits as plain text, for it knows no special tokens. */
  const SPECIAL = /<\/?s>|<unk>|<pad>|<extra_id_\d+>/;

  test('of LLaMA gives the ids of SentencePiece itself', async () => {
    const tokenizer = await load(convertSentencePiece(readModel('tiny-llama/tokenizer.model'), PATH, {}));
    const texts = (golden.encode['tiny-llama'] ?? []).filter(({ text }) => !SPECIAL.test(text) && text !== '');
    expect(texts).toHaveLength(66);
    for (const { text, sentencepiece_ids: ids } of texts) {
      expect(tokenizer.encode(text, { addSpecialTokens: false }), text).toEqual(ids);
    }
  });

  test('of T5 gives the ids of SentencePiece itself, but for spaces at the end', async () => {
    const tokenizer = await load(convertSentencePiece(readModel('tiny-t5/spiece.model'), PATH, {}));
    const differing = (golden.encode['tiny-t5'] ?? [])
      .filter(({ text }) => !SPECIAL.test(text))
      .filter(({ text, sentencepiece_ids: ids }) => {
        return String(tokenizer.encode(text, { addSpecialTokens: false })) !== String(ids);
      });
    expect(differing.map(({ text }) => text)).toEqual([
      'a photo of ',
      '  ',
      'three trailing spaces   ',
      '\n',
      '\n\n',
      'trailing newline\n',
      '\u0000\u0001 control \u007F',
    ]);
  });

  test('of LLaMA has <s>, </s> and <unk> as special tokens, and puts <s> before a text', async () => {
    const tokenizer = await load(convertSentencePiece(readModel('vicuna/tokenizer.model'), PATH, {}));
    const bare = tokenizer.encode('a cat', { addSpecialTokens: false });
    expect(tokenizer.encode('a cat', { addSpecialTokens: true })).toEqual([1, ...bare]);
    expect(tokenizer.encode('a cat<s>a cat</s>', { addSpecialTokens: false })).toEqual([...bare, 1, ...bare, 2]);
    expect(tokenizer.decode([1, ...bare, 0, 2])).toBe('a cat');
  });

  test('of LLaMA starts with another token, or with none, where that is asked for', async () => {
    const bytes = readModel('vicuna/tokenizer.model');
    const bare = (await load(convertSentencePiece(bytes, PATH, { startToken: null }))).encode('a cat', {
      addSpecialTokens: true,
    });
    const tokenizer = await load(
      convertSentencePiece(bytes, PATH, {
        startToken: '</s>',
        addedTokens: [
          { content: '[PAD]', special: true },
          { content: '<image>', special: true },
        ],
      }),
    );
    expect(tokenizer.encode('a cat', { addSpecialTokens: true })).toEqual([2, ...bare]);
    expect(tokenizer.encode('<image>[PAD]', { addSpecialTokens: false })).toEqual([601, 600]);
    expect(() => convertSentencePiece(bytes, PATH, { startToken: '[BOS]' })).toThrow('no special token "[BOS]"');
  });

  test('of T5 has as many sentinels behind its pieces as are asked for', async () => {
    const bytes = readModel('tiny-t5/spiece.model');
    const tokenizer = await load(convertSentencePiece(bytes, PATH, { extraIds: 3 }));
    expect([0, 1, 2, 3].map((index) => tokenizer.tokenId(`<extra_id_${index}>`))).toEqual([392, 391, 390, undefined]);
    expect(tokenizer.tokenCount).toBe(393);
    for (const extraIds of [-1, 0.5, Infinity, 1e9])
      expect(() => convertSentencePiece(bytes, PATH, { extraIds })).toThrow('is not a valid number of extra_ids');
  });
});

describe('merges', () => {
  test('are derived so that text falls into pieces as in SentencePiece: by score, and from the left', async () => {
    const pieces = ['▁', 'a', 'b', 'c', 'bc', 'ab', 'abc', 'aa', '▁a'].map((text, index) => ({ text, score: -index }));
    const model = { ...LLAMA, pieces: [{ text: '<unk>', type: UNKNOWN }, ...pieces] };
    const converted = convertSentencePiece(writeSentencePiece(model), PATH, { startToken: null });
    expect(converted.tokenizer).toMatchObject({
      model: {
        merges: [
          ['b', 'c'],
          ['a', 'b'],
          ['a', 'bc'],
          ['ab', 'c'],
          ['a', 'a'],
          ['▁', 'a'],
        ],
      },
    });
    const tokenizer = await load(converted);
    const tokens = (text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false });
    // bc before ab; aa from the left; then ▁ and a.
    expect(tokens('abc')).toEqual([1, 7]);
    expect(tokens('baaa')).toEqual([1, 3, 8, 2]);
    expect(tokens('a a')).toEqual([9, 9]);
  });

  test('leave out pieces that no text makes', () => {
    const pieces = [
      { text: '<unk>', type: UNKNOWN },
      { text: 'a', score: -1 },
      { text: 'b', score: -2 },
      { text: 'ab', type: CONTROL },
      { text: 'ba', type: USER_DEFINED },
    ];
    const { tokenizer } = convertSentencePiece(writeSentencePiece({ ...LLAMA, pieces }), PATH, { startToken: null });
    expect(tokenizer).toMatchObject({
      model: { merges: [] },
      added_tokens: [
        { id: 0, content: '<unk>', special: true },
        { id: 3, content: 'ab', special: true },
        { id: 4, content: 'ba', special: false, normalized: false },
      ],
    });
  });
});

describe('a model file', () => {
  const unknown = { text: '<unk>', type: UNKNOWN };
  const start = { text: '<s>', type: CONTROL };
  const end = { text: '</s>', type: CONTROL };
  const llama: WrittenModel = { ...LLAMA, pieces: [unknown, start, end, { text: 'a' }] };
  const t5: WrittenModel = { pieces: [unknown, start, end, { text: 'a' }] };

  test('is told apart by its type', () => {
    expect(convertSentencePiece(writeSentencePiece(llama), PATH, {}).tokenizer).toMatchObject({
      model: { type: 'BPE' },
    });
    expect(convertSentencePiece(writeSentencePiece(t5), PATH, {}).tokenizer).toMatchObject({
      model: { type: 'Unigram', unk_id: 0 },
    });
  });

  test.each<[string, WrittenModel, string]>([
    ['without a piece for unknown text', { ...t5, pieces: [end] }, 'one piece for unknown text; this one has 0'],
    ['with two of them', { ...t5, pieces: [unknown, { text: '<unk2>', type: UNKNOWN }] }, 'this one has 2'],
    ['with a piece twice', { ...t5, pieces: [unknown, end, end] }, '1 of the 3 pieces are repeated'],
    ['with an empty piece', { ...t5, pieces: [unknown, { text: '' }] }, 'piece 1 "" with score 0 is not valid'],
    ['with a score that is no number', { ...t5, pieces: [{ text: 'a', score: NaN }] }, 'with score NaN is not valid'],
    ['with a huge piece', { ...t5, pieces: [{ text: 'a'.repeat(1001) }] }, 'a piece has 1 to 1000 characters'],
    ['with a piece that is not UTF-8', { ...t5, pieces: [{ text: Buffer.from([0xff]) }] }, 'a text that is not UTF-8'],
    ['with an unused piece', { ...t5, pieces: [{ text: 'a', type: UNUSED }] }, 'piece 0 "a" is of type unused'],
    ['with a piece of a foreign type', { ...t5, pieces: [{ text: 'a', type: 9 }] }, 'is of type 9'],
    ['of type word', { ...t5, trainer: [[3, 3]] }, 'the model is of type word'],
    ['of a foreign type', { ...t5, trainer: [[3, 77]] }, 'the model is of type 77'],
    ['with spaces behind words', { ...t5, trainer: [[24, 1]] }, 'does not write spaces as'],
    ['that keeps spaces as they are', { ...t5, normalizer: [[5, 0]] }, 'does not write spaces as'],
    ['without a space before a text', { ...t5, normalizer: [[3, 0]] }, 'puts no "▁" before a text'],
    ['of LLaMA that joins spaces', { ...llama, normalizer: [] }, 'joins spaces or has no byte fallback'],
    ['of LLaMA without byte fallback', { ...llama, trainer: [[3, 2]] }, 'joins spaces or has no byte fallback'],
    ['of LLaMA without a start', { ...llama, pieces: [unknown, { text: 'a' }] }, 'no piece that starts a text'],
    ['of T5 with byte fallback', { ...t5, trainer: [[35, 1]] }, 'has byte fallback, unlike T5'],
    ['of T5 without an end', { ...t5, pieces: [unknown, start] }, 'no piece that ends a text'],
    [
      'of T5 with sentinels of its own',
      { ...t5, pieces: [...t5.pieces, { text: '<extra_id_7>' }] },
      'which would then occur twice',
    ],
    ['with a damaged character map', { ...t5, normalizer: [[2, Buffer.alloc(8, 9)]] }, 'claims a trie of 151587081'],
  ])('%s is refused', (_, model, message) => {
    const convert = (): unknown => convertSentencePiece(writeSentencePiece(model), PATH, {});
    expect(convert).toThrow(CheckpointError);
    expect(convert).toThrow(message);
    expect(convert).toThrow(`${PATH}: `);
  });

  test('that is a pointer of Git LFS is named as such', () => {
    const pointer = Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 791656\n');
    expect(() => convertSentencePiece(pointer, PATH, {})).toThrow('a Git LFS pointer');
  });

  test('that was cut off anywhere is refused', () => {
    const bytes = readModel('tiny-llama/tokenizer.model');
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), (length) => {
        expect(() => convertSentencePiece(bytes.subarray(0, length), PATH, {})).toThrow(CheckpointError);
      }),
      { numRuns: 50 },
    );
    const wholePieces = bytes.length - bytesField(2, Buffer.alloc(54)).length - bytesField(3, Buffer.alloc(16)).length;
    expect(() => convertSentencePiece(bytes.subarray(0, wholePieces), PATH, {})).toThrow(
      'after 470 pieces the settings that every model has are missing',
    );
  });

  test('with any byte changed is converted or refused, and nothing else', () => {
    const bytes = readModel('vicuna/tokenizer.model');
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = Buffer.from(bytes);
        damaged[at] = (damaged[at] ?? 0) ^ change;
        try {
          expect(convertSentencePiece(damaged, PATH, {}).tokenizer).toHaveProperty('model.vocab');
        } catch (error) {
          expect(error).toBeInstanceOf(CheckpointError);
        }
      }),
      { numRuns: 50 },
    );
  });

  test('may have pieces with the names that every JavaScript object has', async () => {
    const pieces = ['▁', '__proto__', '_', 'constructor'].map((text) => ({ text, type: NORMAL }));
    const model = { ...llama, pieces: [...llama.pieces, ...pieces] };
    const tokenizer = await load(convertSentencePiece(writeSentencePiece(model), PATH, {}));
    expect(tokenizer.tokenId('__proto__')).toBe(5);
    expect(tokenizer.encode('_', { addSpecialTokens: true })).toEqual([1, 4, 6]);
  });
});
