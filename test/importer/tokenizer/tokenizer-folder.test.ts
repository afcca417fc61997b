import { cpSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CheckpointError } from '../../../src/errors.ts';
import type { ConvertedTokenizer } from '../../../src/importer/tokenizer/converted-tokenizer.ts';
import { convertTokenizerFolder } from '../../../src/importer/tokenizer/tokenizer-folder.ts';
import { loadTokenizer, type Tokenizer } from '../../../src/tokenizer/tokenizer.ts';
import { readEdgeCases, readGolden, readPrompts, TOKENIZERS } from '../../tokenizer/tokenizer-fixtures.ts';

const golden = readGolden();
const edgeCases = readEdgeCases();

let folder: string;
let pack: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-tokenizer-folder-'));
  pack = await mkdtemp(join(tmpdir(), 'minigpt-tokenizer-pack-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
  await rm(pack, { recursive: true });
});

async function load({ tokenizer, tokenizerConfig }: ConvertedTokenizer): Promise<Tokenizer> {
  await writeFile(join(pack, 'tokenizer.json'), JSON.stringify(tokenizer));
  await writeFile(join(pack, 'tokenizer_config.json'), JSON.stringify(tokenizerConfig));
  return loadTokenizer(pack);
}

/** A copy of a fixture without `removed`. */
function copyFixture(name: string, ...removed: string[]): void {
  cpSync(join(TOKENIZERS, name), folder, { recursive: true });
  for (const file of removed) rmSync(join(folder, file));
}

/** What a tokenizer makes of all texts and ids that there are, its own ids two by two. */
function answersOf(tokenizer: Tokenizer): object {
  const texts = [...(golden.encode['tiny-opt'] ?? []), ...(edgeCases['tiny-opt'] ?? [])].map(({ text }) => text);
  const sequences = Object.values(golden.decode).flatMap((cases) => cases.map(({ ids }) => ids));
  for (let id = 0; id < tokenizer.tokenCount; id++) sequences.push([id, id]);
  return {
    texts: texts.map((text) => {
      const ids = tokenizer.encode(text, { addSpecialTokens: true });
      return { text, ids, bare: tokenizer.encode(text, { addSpecialTokens: false }), decoded: tokenizer.decode(ids) };
    }),
    sequences: sequences.map((ids) => tokenizer.decode(ids)),
  };
}

describe('a folder without tokenizer.json', () => {
  test.each([
    ['tiny-llama', ['tokenizer.model']],
    ['vicuna', ['tokenizer.model']],
    ['tiny-t5', ['spiece.model']],
    ['tiny-opt', ['vocab.json', 'merges.txt']],
    ['opt-lavis', ['vocab.json', 'merges.txt']],
    ['phi-2', ['vocab.json', 'merges.txt']],
    ['tiny-bert', ['vocab.txt']],
    ['bert-itm', ['vocab.txt']],
  ])('converts %s to what tokenizer.json holds', async (name, files) => {
    copyFixture(name, 'tokenizer.json');
    const { sources, ...converted } = await convertTokenizerFolder(folder);
    expect(sources.map((path) => basename(path))).toEqual(files);
    const own = await load(converted);
    const published = await loadTokenizer(join(TOKENIZERS, name));

    expect(own.tokenCount).toBe(published.tokenCount);
    expect(answersOf(own)).toEqual(answersOf(published));
  });

  test.each(['tiny-llama', 'tiny-t5', 'tiny-opt', 'tiny-bert'])('gives %s the golden ids and texts', async (name) => {
    copyFixture(name, 'tokenizer.json');
    const tokenizer = await load(await convertTokenizerFolder(folder));
    const texts = golden.encode[name] ?? [];
    expect(texts).toHaveLength(72);
    const encode = (addSpecialTokens: boolean): number[][] =>
      texts.map(({ text }) => tokenizer.encode(text, { addSpecialTokens }));
    expect(encode(true)).toEqual(texts.map(({ ids }) => ids));
    expect(encode(false)).toEqual(texts.map(({ ids_no_special: bare }) => bare));
    const sequences = [
      ...texts.map(({ ids, decoded, transformers5_decoded: cleaned }) => ({ ids, decoded: cleaned ?? decoded })),
      ...(golden.decode[name] ?? []),
    ];
    expect(sequences.map(({ ids }) => tokenizer.decode(ids))).toEqual(sequences.map(({ decoded }) => decoded));
  });

  test('has the ids of LAVIS from vocab.txt alone, with [DEC] behind it', async () => {
    const found = readPrompts().matching.find(({ model }) => model === 'lavis-blip2-qformer');
    const addedTokens = [{ content: '[DEC]', special: true }];
    const tokenizer = await load(await convertTokenizerFolder(join(TOKENIZERS, 'bert-lavis'), { addedTokens }));
    expect(tokenizer.tokenId('[DEC]')).toBe(tokenizer.tokenCount - 1);
    expect(found?.texts).toHaveLength(3);
    for (const [text, ids] of found?.texts ?? []) {
      expect(tokenizer.encode(text, { addSpecialTokens: true })).toEqual(ids);
    }
    expect(found?.answers).toHaveLength(2);
    for (const [ids, text] of found?.answers ?? []) expect(tokenizer.decode(ids)).toBe(text);
  });

  test('is refused where it holds no vocabulary at all', async () => {
    writeFileSync(join(folder, 'tokenizer_config.json'), '{}');
    await expect(convertTokenizerFolder(folder)).rejects.toThrow(CheckpointError);
    await expect(convertTokenizerFolder(folder)).rejects.toThrow(`${folder}: expected tokenizer.json, tokenizer.model`);
  });

  test('is refused where vocab.json stands without merges.txt', async () => {
    copyFixture('tiny-opt', 'merges.txt');
    await expect(convertTokenizerFolder(folder)).rejects.toThrow('merges.txt: the file is missing');
  });
});

async function encodeCat(): Promise<number[]> {
  const tokenizer = await load(await convertTokenizerFolder(folder));
  return tokenizer.encode('a cat', { addSpecialTokens: true });
}

describe('the files beside a vocabulary', () => {
  test('may all be missing: LLaMA starts with its own token, GPT-2 with none', async () => {
    copyFixture('vicuna');
    for (const file of readdirSync(folder)) if (file.endsWith('.json')) rmSync(join(folder, file));
    expect((await encodeCat())[0]).toBe(1);
    for (const file of readdirSync(folder)) rmSync(join(folder, file));
    copyFixture('phi-2', 'added_tokens.json', 'tokenizer_config.json', 'special_tokens_map.json');
    expect((await encodeCat())[0]).not.toBe(560);
  });

  test('say whether a start token comes first, and which', async () => {
    copyFixture('vicuna', 'special_tokens_map.json');
    const config = join(folder, 'tokenizer_config.json');
    writeFileSync(config, JSON.stringify({ bos_token: { content: '</s>' } }));
    expect((await encodeCat())[0]).toBe(2);
    writeFileSync(config, JSON.stringify({ bos_token: '' }));
    expect((await encodeCat())[0]).toBe(1);
    writeFileSync(config, JSON.stringify({ bos_token: '<s>', add_bos_token: false }));
    expect((await encodeCat())[0]).toBeGreaterThan(2);
    writeFileSync(join(folder, 'special_tokens_map.json'), JSON.stringify({ bos_token: '</s>' }));
    writeFileSync(config, JSON.stringify({ bos_token: '<s>', add_bos_token: true }));
    expect((await encodeCat())[0]).toBe(2);
    const asked = await load(await convertTokenizerFolder(folder, { startToken: null }));
    expect(asked.encode('a cat', { addSpecialTokens: true })[0]).toBeGreaterThan(2);
  });

  test('are refused where they ask for a start token without naming it', async () => {
    copyFixture('tiny-opt', 'special_tokens_map.json', 'added_tokens.json');
    writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify({ add_bos_token: true }));
    await expect(convertTokenizerFolder(folder)).rejects.toThrow('no file of the folder names a bos_token');
  });

  test('name added tokens with ids, and which of them are special', async () => {
    copyFixture('vicuna', 'tokenizer_config.json');
    writeFileSync(join(folder, 'added_tokens.json'), JSON.stringify({ '<more>': 601, '[PAD]': 600, '<s>': 1 }));
    writeFileSync(
      join(folder, 'special_tokens_map.json'),
      JSON.stringify({ pad_token: '[PAD]', additional_special_tokens: ['<last>'] }),
    );
    const tokenizer = await load(await convertTokenizerFolder(folder));
    expect(['[PAD]', '<more>', '<last>'].map((token) => tokenizer.tokenId(token))).toEqual([600, 601, 602]);
    expect(tokenizer.decode([600, 601, 602])).toBe('<more>');
  });

  test('say whether spaces are cleaned up and case is kept', async () => {
    copyFixture('tiny-bert', 'tokenizer.json');
    const config = join(folder, 'tokenizer_config.json');
    writeFileSync(config, JSON.stringify({ clean_up_tokenization_spaces: false, do_lower_case: false }));
    const { tokenizer, tokenizerConfig } = await convertTokenizerFolder(folder);
    expect(tokenizer).toMatchObject({ normalizer: { lowercase: false } });
    expect(tokenizerConfig).toMatchObject({ clean_up_tokenization_spaces: false });
  });

  test.each([
    ['added_tokens.json', { '[PAD]': 599 }, 'the added token "[PAD]" claims the id 599, but that is the id of'],
    ['added_tokens.json', { '[PAD]': 700 }, 'claims the id 700, but the vocabulary ends at 600'],
    ['added_tokens.json', { '<s>': 600 }, 'the added token "<s>" claims the id 600, but its id is 1'],
    [
      'added_tokens.json',
      { '[A]': 600, '[B]': 600 },
      'the added token "[B]" claims the id 600, but that is the id of "[A]"',
    ],
    ['added_tokens.json', { '[PAD]': -1 }, 'token "[PAD]" has the id -1'],
    ['added_tokens.json', { '[PAD]': '600' }, 'token "[PAD]" has the id "600"'],
    ['added_tokens.json', [], 'the file should be a JSON object'],
    ['tokenizer_config.json', { added_tokens_decoder: { 600: {} } }, 'added_tokens_decoder has no token for id 600'],
    ['tokenizer_config.json', { added_tokens_decoder: { x: { content: '[X]' } } }, 'token "[X]" has the id null'],
    ['tokenizer_config.json', { add_bos_token: 'yes' }, 'add_bos_token should be a boolean but is "yes"'],
    ['tokenizer_config.json', { extra_ids: '100' }, 'extra_ids should be a number but is "100"'],
  ])('are refused where %s says %j', async (file, content, message) => {
    copyFixture('vicuna');
    writeFileSync(join(folder, file), JSON.stringify(content));
    await expect(convertTokenizerFolder(folder)).rejects.toThrow(CheckpointError);
    await expect(convertTokenizerFolder(folder)).rejects.toThrow(message);
  });

  test('are refused where they are no JSON', async () => {
    copyFixture('vicuna');
    writeFileSync(join(folder, 'special_tokens_map.json'), '{"bos_token":');
    await expect(convertTokenizerFolder(folder)).rejects.toThrow('special_tokens_map.json: the file is not valid JSON');
  });
});
