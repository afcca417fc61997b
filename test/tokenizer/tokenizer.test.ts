import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PackError } from '../../src/errors.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { readEdgeCases, readGolden, tokenizerOf, TOKENIZERS } from './tokenizer-fixtures.ts';

const golden = readGolden();
const edgeCases = readEdgeCases();

const NAMES = ['blip2-opt-2.7b', 'blip2-flan-t5-xl', 'tiny-llama', 'tiny-t5', 'tiny-bert', 'tiny-opt'];

describe.each(NAMES)('the tokenizer %s', async (name) => {
  const tokenizer = await tokenizerOf(name);
  const texts = golden.encode[name] ?? [];
  const sequences = golden.decode[name] ?? [];

  test('has golden texts', () => {
    expect(texts).toHaveLength(72);
    expect(sequences.length).toBeGreaterThan(20);
  });

  test.each(texts)('gives the published ids of $text', ({ text, ids, ids_no_special: bare }) => {
    expect(tokenizer.encode(text, { addSpecialTokens: true })).toEqual(ids);
    expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(bare);
  });

  // BERT's config asks for clean-up, which the golden file has from transformers where it changes a text.
  test.each(texts)('decodes the ids of $text', ({ ids, decoded, transformers5_decoded: cleaned }) => {
    expect(tokenizer.decode(ids)).toBe(cleaned ?? decoded);
  });

  test.each(sequences)('decodes the random ids $ids', ({ ids, decoded }) => {
    expect(tokenizer.decode(ids)).toBe(decoded);
  });

  test.each(edgeCases[name] ?? [])('gives the published ids of the edge case $text', ({ text, ids, decoded }) => {
    expect(tokenizer.encode(text, { addSpecialTokens: true })).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(decoded);
  });

  test('decodes nothing to an empty text', () => {
    expect(tokenizer.decode([])).toBe('');
  });

  test('decodes special tokens alone to an empty text', () => {
    expect(tokenizer.decode(tokenizer.encode('', { addSpecialTokens: true }))).toBe('');
  });

  test('skips ids of padding rows, which stand for no token', () => {
    const ids = tokenizer.encode('a dog', { addSpecialTokens: false });
    expect(tokenizer.decode([...ids, tokenizer.tokenCount, 60_000, ...ids])).toBe(tokenizer.decode([...ids, ...ids]));
  });
});

describe('the vocabulary', () => {
  // The rows of the published embedding tables are 50,304, 32,128 and so on: more than there are tokens.
  test.each([
    ['blip2-opt-2.7b', 50_266],
    ['blip2-flan-t5-xl', 32_100],
    ['tiny-llama', 472],
    ['tiny-bert', 431],
    ['phi-2', 572],
  ])('of %s has %i tokens, and ids behind them are padding', async (name, count) => {
    const tokenizer = await tokenizerOf(name);
    expect(tokenizer.tokenCount).toBe(count);
    expect(tokenizer.decode([count])).toBe('');
  });

  test('finds one token by its spelling, special and added tokens included', async () => {
    const llama = await loadTokenizer(join(TOKENIZERS, 'vicuna'));
    expect(['<unk>', '<s>', '</s>', '▁###', '##', '#', '<0x0A>'].map((token) => llama.tokenId(token))).toEqual([
      0, 1, 2, 300, 264, 540, 13,
    ]);
    const phi = await loadTokenizer(join(TOKENIZERS, 'phi-2'));
    expect(['###', '<|endoftext|>', '\t\t'].map((token) => phi.tokenId(token))).toEqual([271, 560, 571]);
  });

  test.each(['', ' ###', 'no such token', '__proto__', 'constructor'])('has no token %j', async (token) => {
    const llama = await loadTokenizer(join(TOKENIZERS, 'vicuna'));
    expect(llama.tokenId(token)).toBeUndefined();
  });
});

describe('the tokenizer files of a pack', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'minigpt-tokenizer-'));
    await cp(join(TOKENIZERS, 'tiny-opt'), directory, { recursive: true });
  });
  afterEach(async () => rm(directory, { recursive: true }));

  test.each(['tokenizer.json', 'tokenizer_config.json'])(
    'are both needed: without %s the pack is refused',
    async (file) => {
      await rm(join(directory, file));
      await expect(loadTokenizer(directory)).rejects.toThrow(`${join(directory, file)}: the file is missing`);
    },
  );

  test.each(['', '{"model":', '[]', 'null', '3', '{}', '{"model":{"type":"Foreign"}}', '{"model":null}'])(
    'are refused when damaged: %j',
    async (text) => {
      await writeFile(join(directory, 'tokenizer.json'), text);
      await expect(loadTokenizer(directory)).rejects.toThrow(PackError);
    },
  );

  test('are refused when the character map is damaged', async () => {
    const tokenizer = JSON.parse(await readFile(join(directory, 'tokenizer.json'), 'utf8')) as { normalizer: unknown };
    for (const charsmap of ['', 'AAAA', Buffer.from([8, 0, 0, 0, 1, 2, 3, 4]).toString('base64'), null]) {
      tokenizer.normalizer = { type: 'Precompiled', precompiled_charsmap: charsmap };
      await writeFile(join(directory, 'tokenizer.json'), JSON.stringify(tokenizer));
      await expect(loadTokenizer(directory)).rejects.toThrow(/precompiled_charsmap has \d+ bytes/);
    }
  });

  test('say whether spaces are cleaned up', async () => {
    const text = "it 's a dog .";
    const plain = await loadTokenizer(directory);
    expect(plain.decode(plain.encode(text, { addSpecialTokens: true }))).toBe(text);
    const config = join(directory, 'tokenizer_config.json');
    await writeFile(config, readFileSync(config, 'utf8').replace('_spaces": false', '_spaces": true'));
    const cleaning = await loadTokenizer(directory);
    expect(cleaning.decode(cleaning.encode(text, { addSpecialTokens: true }))).toBe("it's a dog.");
  });
});
