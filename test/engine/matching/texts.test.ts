import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MatchingTexts } from '../../../src/engine/matching/texts.ts';
import { PackError } from '../../../src/errors.ts';
import type { Pack } from '../../../src/pack/model-declaration.ts';
import { importMatchingPack } from './matching-pack.ts';

const CLS = 101;
const SEP = 102;

describe.each([
  ['a whole model from Hugging Face', 'hf-blip2-itm', { textProcessor: 'none', maxTxtLen: 64 }],
  ["LAVIS' own files", 'lavis-blip2-qformer', { textProcessor: 'blip_caption', maxTxtLen: 32 }],
] as const)('%s:', (_, fixture, matchingText) => {
  let pack: Pack;
  let texts: MatchingTexts;

  beforeAll(async () => {
    pack = await importMatchingPack(fixture);
    texts = await MatchingTexts.load(pack);
  });

  afterAll(async () => {
    await rm(pack.directory, { recursive: true });
  });

  test('the pack says how a text is prepared', () => {
    expect(pack.declaration.matchingText).toEqual(matchingText);
    expect(texts.maxTxtLen).toBe(matchingText.maxTxtLen);
  });

  test('texts have the ids of the reference', () => {
    const path = join(import.meta.dirname, `../../fixtures/${fixture}/golden.json`);
    const golden = JSON.parse(readFileSync(path, 'utf8')) as { texts: { text: string; ids: number[] }[] };
    expect(golden.texts.length).toBeGreaterThan(2);
    for (const { text, ids } of golden.texts) expect(texts.tokenize(text)).toEqual({ ids, isCut: false });
  });

  test('a text beyond the limit loses its end, but not its end token', () => {
    const whole = texts.tokenize('a');
    const [, word = 0] = whole.ids;
    const inner = (count: number) => texts.tokenize(Array<string>(count).fill('a').join(' '));
    expect(inner(matchingText.maxTxtLen - 2).isCut).toBe(false);
    expect(inner(matchingText.maxTxtLen - 1)).toEqual({
      ids: [CLS, ...Array<number>(matchingText.maxTxtLen - 2).fill(word), SEP],
      isCut: true,
    });
  });

  test('a pack from before that was recorded is refused, and says what to do', async () => {
    const { matchingText: _dropped, ...declaration } = pack.declaration;
    const loading = MatchingTexts.load({ ...pack, declaration });
    await expect(loading).rejects.toThrow(PackError);
    await expect(loading).rejects.toThrow('model.json has no matching_text');
  });
});
