import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PackError } from '../../src/errors.ts';
import { BRIDGES } from '../../src/pack/bridge.ts';
import { formatModelDeclaration, parseModelDeclaration, readPack } from '../../src/pack/model-declaration.ts';
import { declarationOf } from '../store/pack-folder.ts';

const declaration = declarationOf('x', { 'decoder.onnx': 'abc', 'tokenizer.json': '{}' });
const text = formatModelDeclaration(declaration);

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** Every key of the file, as the way to it. */
function keysOf(value: Json, way: (string | number)[] = []): (string | number)[][] {
  if (Array.isArray(value)) return value.flatMap((item, index) => keysOf(item, [...way, index]));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [[...way, key], ...keysOf(inner, [...way, key])]);
}

/** The file with the value at `way` replaced, or removed where `replacement` is undefined. */
function changed(way: readonly (string | number)[], replacement: Json | undefined): string {
  const json = JSON.parse(text) as Json;
  const holder = way
    .slice(0, -1)
    .reduce<Json>((inner, key) => (inner as Record<string | number, Json>)[key] ?? null, json);
  const last = way.at(-1) ?? '';
  if (replacement === undefined) delete (holder as Record<string | number, Json>)[last];
  else (holder as Record<string | number, Json>)[last] = replacement;
  return JSON.stringify(json);
}

const ways = keysOf(JSON.parse(text) as Json).map((way) => ({ way, name: way.join('.') }));
// The key `bridge` may be missing: earlier packs lack it.
const needed = ways.filter(({ name }) => name !== 'bridge');
const shown = (way: readonly (string | number)[]) => way.join('.').replaceAll(/\.(\d+)/g, '[$1]');

test('a declaration that is written is read back the same', () => {
  expect(parseModelDeclaration(text, 'model.json')).toEqual(declaration);
  expect(formatModelDeclaration(parseModelDeclaration(text, 'model.json'))).toBe(text);
});

const withMatchingText = (matchingText: Json): string =>
  JSON.stringify({ ...(JSON.parse(text) as object), matching_text: matchingText });

describe('how texts are prepared for matching', () => {
  const matching = { ...declaration, matchingText: { textProcessor: 'blip_caption', maxTxtLen: 32 } } as const;
  test('is read back as it was written', () => {
    const written = formatModelDeclaration(matching);
    expect(JSON.parse(written)).toMatchObject({ matching_text: { text_processor: 'blip_caption', max_txt_len: 32 } });
    expect(parseModelDeclaration(written, 'model.json')).toEqual(matching);
  });

  test.each([
    [{ text_processor: 'clip', max_txt_len: 32 }, 'matching_text.text_processor should be'],
    [{ text_processor: 'none' }, 'matching_text.max_txt_len should be'],
    [{ text_processor: 'none', max_txt_len: 2 }, 'matching_text.max_txt_len should be at least 3'],
    [{ text_processor: 'none', max_txt_len: 32, words: 50 }, 'words'],
  ])('%j is refused', (value, message) => {
    expect(() => parseModelDeclaration(withMatchingText(value), 'model.json')).toThrow(message);
  });
});

test('the file spells its keys as the published configs do', () => {
  for (const name of ['image.image_mean', 'language.max_position_embeddings', 'num_image_tokens', 'files.0.sha256']) {
    expect(ways.map((entry) => entry.name)).toContain(name);
  }
});

const withBridge = (readsInstruction: boolean, bridge?: string): string =>
  JSON.stringify({ ...(JSON.parse(text) as object), reads_instruction: readsInstruction, bridge });

describe('what bridges vision and language', () => {
  test.each(BRIDGES)('is read back as it was written: %s', (bridge) => {
    const written = formatModelDeclaration({ ...declaration, bridge });
    expect(JSON.parse(written)).toMatchObject({ bridge, reads_instruction: bridge === 'instruction' });
    expect(parseModelDeclaration(written, 'model.json').bridge).toBe(bridge);
  });

  test.each([
    [true, 'instruction'],
    [false, 'queries'],
  ])('follows from reads_instruction %s where a pack was imported before it was written down', (reads, implied) => {
    expect(parseModelDeclaration(withBridge(reads), 'model.json').bridge).toBe(implied);
  });

  test.each([
    [true, 'queries', 'reads_instruction should be false, since the bridge is queries but is true'],
    [false, 'instruction', 'reads_instruction should be true, since the bridge is instruction but is false'],
    [false, 'resampler', 'bridge should be one of queries, instruction, matching, patches but is "resampler"'],
  ])('is refused where reads_instruction is %s and bridge %s', (reads, bridge, message) => {
    expect(() => parseModelDeclaration(withBridge(reads, bridge), 'model.json')).toThrow(message);
  });
});

test('the embedded pack says all that a new import says', async () => {
  const nano = await readFile(join(import.meta.dirname, '../../models/nano/model.json'), 'utf8');
  expect(formatModelDeclaration(parseModelDeclaration(nano, 'model.json'))).toBe(nano);
});

describe('a model.json', () => {
  test.each(needed)('without $name is refused by that name', ({ way }) => {
    expect(() => parseModelDeclaration(changed(way, undefined), 'model.json')).toThrow(PackError);
    expect(() => parseModelDeclaration(changed(way, undefined), 'model.json')).toThrow(
      `model.json: ${shown(way)} should be`,
    );
  });

  test.each(ways)('whose $name has another type is refused by that name', ({ way }) => {
    // One key of the file is a switch, which a number is not.
    const other = way.at(-1) === 'reads_instruction' ? 1 : true;
    expect(() => parseModelDeclaration(changed(way, other), 'model.json')).toThrow(
      `model.json: ${shown(way)} should be`,
    );
  });

  test.each(['', 'image', 'language', 'source', 'files.0', 'source.files.0'])(
    'with a key in "%s" that is not known is refused',
    (holder) => {
      const way = [...(holder === '' ? [] : holder.split('.')), 'beam_size'];
      expect(() => parseModelDeclaration(changed(way, 3), 'model.json')).toThrow(`the key ${shown(way)} is not known`);
    },
  );

  test('of a newer schema says what to do', () => {
    expect(() => parseModelDeclaration(changed(['schema'], 2), 'model.json')).toThrow(
      /schema 2.*Import the model again/,
    );
  });

  test.each([
    ['family', 'blip3'],
    ['precision', 'fp64'],
  ])('with a foreign %s is refused', (key, value) => {
    expect(() => parseModelDeclaration(changed([key], value), 'model.json')).toThrow(`${key} should be one of`);
  });
});

describe('a pack folder', () => {
  test('is read with the digest of its model.json', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'minigpt-pack-'));
    await writeFile(join(directory, 'model.json'), text);
    const digest = createHash('sha256').update(text).digest('hex');
    expect(await readPack(directory)).toEqual({ directory, declaration, digest });
    await rm(directory, { recursive: true });
  });

  test('without model.json is no pack', async () => {
    await expect(readPack('/nowhere')).rejects.toThrow('/nowhere: this folder has no readable model.json');
  });
});
