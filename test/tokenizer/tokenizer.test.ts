import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PackError } from '../../src/errors.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/tokenizers/', import.meta.url));
const NAMES = ['blip2-opt-2.7b', 'tiny-opt'] as const;

type Name = (typeof NAMES)[number];
type Golden = {
  encode: Record<Name, { text: string; ids: number[]; ids_no_special: number[]; decoded: string }[]>;
  decode: Record<Name, { ids: number[]; decoded: string }[]>;
};

const golden = JSON.parse(readFileSync(join(FIXTURES, 'golden.json'), 'utf8')) as Golden;

describe.each(NAMES)('the tokenizer %s', async (name) => {
  const tokenizer = await loadTokenizer(join(FIXTURES, name));

  test.each(golden.encode[name])('gives the published ids of $text', ({ text, ids, ids_no_special: bare }) => {
    expect(tokenizer.encode(text, { addSpecialTokens: true })).toEqual(ids);
    expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(bare);
  });

  test.each(golden.encode[name])('decodes the ids of $text', ({ ids, decoded }) => {
    expect(tokenizer.decode(ids)).toBe(decoded);
  });

  test.each(golden.decode[name])('decodes the random ids $ids', ({ ids, decoded }) => {
    expect(tokenizer.decode(ids)).toBe(decoded);
  });

  test('decodes nothing, and special tokens alone, to an empty text', () => {
    expect(tokenizer.decode([])).toBe('');
    expect(tokenizer.decode([2, 1, 2])).toBe('');
  });

  test('skips ids of padding rows, which stand for no token', () => {
    const ids = tokenizer.encode('a dog', { addSpecialTokens: false });
    expect(tokenizer.decode([...ids, 60_000, ...ids])).toBe('a doga dog');
  });
});

describe('the tokenizer files of a pack', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'minigpt-tokenizer-'));
    await cp(join(FIXTURES, 'tiny-opt'), directory, { recursive: true });
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
