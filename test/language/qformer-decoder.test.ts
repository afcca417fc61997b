/** The Q-Former that writes captions by itself, compared with LAVIS on a tiny checkpoint. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chooseGreedily } from '../../src/language/greedy.ts';
import { QFormerDecoder } from '../../src/language/qformer-decoder.ts';
import { QueryPrefixEncoder } from '../../src/vision/query-prefix.ts';
import { buildFirstStagePack, type FirstStagePack } from '../vision/first-stage-pack.ts';
import { largestDifference, readTensors, rowsOf } from '../vision/tiny-pack.ts';

const TOLERANCE = 5e-4;
const ROUNDING = 1e-5;
const VOCABULARY = 321;
const DEC = 320;
const SEP = 102;
const IMAGES = 3;
/** Rows of embeddings that the keys and values of 8 queries in 4 layers have the size of. */
const PREFIX = 2 * 4 * 8;

let built: FirstStagePack;
let decoder: QFormerDecoder;
let golden: (name: string) => Float32Array;
let reference: (name: string) => Float32Array;
let prefixes: Float32Array[];
/** Captions with `[DEC]` in front, one per image, and the reference's logits after each of their tokens. */
let captions: { ids: number[]; logits: Float32Array[] }[];
let cases: { image: number; options: { maxNewTokens: number; minNewTokens: number; beams?: number }; ids: number[] }[];

beforeAll(async () => {
  built = await buildFirstStagePack('lavis-blip2-qformer');
  golden = await readTensors(join(built.fixture, 'golden.safetensors'));
  reference = await readTensors(join(built.fixture, 'reference.safetensors'));
  const encoder = await QueryPrefixEncoder.load(built.pack, { threads: 1 });
  prefixes = await encoder.encode(rowsOf(golden('pixel_values'), IMAGES));
  await encoder.dispose();
  const { language } = built.pack.declaration;
  if (language === undefined) throw new Error('the pack should describe its language model');
  decoder = await QFormerDecoder.load(built.pack.directory, language, 8, { threads: 1 });
  const record = JSON.parse(await readFile(join(built.fixture, 'golden.json'), 'utf8')) as {
    texts: { ids: number[] }[];
    cases: typeof cases;
  };
  cases = record.cases.filter(({ options }) => options.beams === undefined);
  const padded = rowsOf(reference('itg.logits_teacher_forced'), IMAGES);
  captions = record.texts.map(({ ids: [, ...text] }, image) => {
    const rows = rowsOf(padded[image] ?? new Float32Array(), 18);
    return { ids: [DEC, ...text], logits: rows.slice(0, text.length + 1) };
  });
});

afterAll(async () => {
  await decoder.dispose();
  await rm(built.pack.directory, { recursive: true });
});

/** A prompt of the image and some text, as the batch puts it together. */
async function promptOf(image: number, ids: readonly number[]) {
  const text = await decoder.embedTokens(ids);
  const embeds = Float32Array.from([...(prefixes[image] ?? []), ...text]);
  return { embeds, length: PREFIX + ids.length };
}

/** Writes greedily for several images at once; a row that ends goes on unseen. */
async function write(images: readonly number[], maxNewTokens: number): Promise<number[][]> {
  const cache = decoder.newCache(images.length, 8 + 1 + maxNewTokens);
  const rows = [];
  for (const image of images) rows.push(await promptOf(image, [DEC]));
  let { logits, lengths } = await decoder.prefill(cache, 0, rows);
  const written: number[][] = images.map(() => []);
  for (let step = 0; ; step++) {
    rowsOf(logits, images.length).forEach((row, index) => {
      // At least one token comes before the stop.
      if (step === 0) row[SEP] = -Infinity;
      written[index]?.push(chooseGreedily(row));
    });
    if (step === maxNewTokens - 1) break;
    const last = written.map((ids) => ids.at(-1) ?? SEP);
    logits = await decoder.step(cache, last, lengths);
    lengths = lengths.map((length) => length + 1);
  }
  return written.map((ids) => (ids.includes(SEP) ? ids.slice(0, ids.indexOf(SEP) + 1) : ids));
}

test('the first token is predicted as by the reference, for all images at once', async () => {
  const rows = [];
  for (let image = 0; image < IMAGES; image++) rows.push(await promptOf(image, [DEC]));
  const { logits, lengths } = await decoder.prefill(decoder.newCache(IMAGES, 9), 0, rows);
  expect(lengths).toEqual([9, 9, 9]);
  const expected = captions.flatMap((caption) => [...(caption.logits[0] ?? [])]);
  expect(largestDifference(logits, expected)).toBeLessThan(TOLERANCE);
});

describe('a caption that is given', () => {
  test('has the logits of the reference after each of its tokens', async () => {
    for (const [image, { ids, logits: expected }] of captions.entries()) {
      const cache = decoder.newCache(1, 8 + ids.length);
      let { logits } = await decoder.prefill(cache, 0, [await promptOf(image, [DEC])]);
      for (const [position, id] of ids.entries()) {
        if (position > 0) logits = await decoder.step(cache, [id], [8 + position]);
        const difference = largestDifference(logits, expected[position] ?? []);
        expect(difference, `image ${image}, token ${position}`).toBeLessThan(TOLERANCE);
      }
    }
  });

  test('may be read at once, beside captions of other lengths', async () => {
    const rows = [];
    for (const [image, { ids }] of captions.entries()) rows.push(await promptOf(image, ids));
    const { logits, lengths } = await decoder.prefill(decoder.newCache(4, 8 + 18), 1, rows);
    expect(lengths).toEqual(captions.map(({ ids }) => 8 + ids.length));
    const expected = captions.flatMap((caption) => [...(caption.logits.at(-1) ?? [])]);
    expect(logits).toHaveLength(IMAGES * VOCABULARY);
    expect(largestDifference(logits, expected)).toBeLessThan(TOLERANCE);
  });
});

describe('greedy captions are those of the reference', () => {
  test('alone', async () => {
    expect(cases.length).toBeGreaterThan(1);
    for (const { image, options, ids } of cases) {
      expect(options.minNewTokens).toBe(1);
      const [written = []] = await write([image], options.maxNewTokens);
      expect(written).toEqual(ids);
    }
  });

  test('and in a batch', async () => {
    const images = [...cases.map(({ image }) => image), 2, ...cases.map(({ image }) => image).toReversed()];
    const written = await write(images, 15);
    for (const [row, image] of images.entries()) {
      const recorded = cases.find((known) => known.image === image);
      if (recorded !== undefined) expect(written[row]).toEqual(recorded.ids);
    }
  });

  test('and their logits are those of every step', async () => {
    const [recorded] = cases;
    const steps = rowsOf(golden('itg.step_logits'), 15);
    const cache = decoder.newCache(1, 8 + 15);
    let { logits } = await decoder.prefill(cache, 0, [await promptOf(recorded?.image ?? 0, [DEC])]);
    for (const [step, expected] of steps.entries()) {
      expect(largestDifference(logits, expected)).toBeLessThan(TOLERANCE);
      if (step < 14) logits = await decoder.step(cache, [recorded?.ids[step] ?? 0], [9 + step]);
    }
  });
});

test('a row that moved within the cache goes on as before', async () => {
  const { ids, logits: expected } = captions[1] ?? { ids: [], logits: [] };
  const cache = decoder.newCache(3, 8 + ids.length);
  const rows = [await promptOf(0, [DEC]), await promptOf(2, [DEC]), await promptOf(1, [DEC])];
  await decoder.prefill(cache, 0, rows);
  cache.copyRow(2, 0);
  const logits = await decoder.step(cache, [ids[1] ?? 0], [9]);
  expect(largestDifference(logits, expected[1] ?? [])).toBeLessThan(TOLERANCE);
});

test('the prefix of an image is the same alone and in company', async () => {
  const encoder = await QueryPrefixEncoder.load(built.pack, { threads: 1 });
  for (const [image, pixelValues] of rowsOf(golden('pixel_values'), IMAGES).entries()) {
    const [alone = []] = await encoder.encode([pixelValues]);
    expect(largestDifference(alone, prefixes[image] ?? [])).toBeLessThan(ROUNDING);
  }
  const imageEmbeds = await encoder.embedImages(rowsOf(golden('pixel_values'), IMAGES));
  const chosen = await encoder.imageTokens(imageEmbeds, [2, 0, 2]);
  expect(chosen).toHaveLength(3);
  for (const [index, image] of [2, 0, 2].entries())
    expect(largestDifference(chosen[index] ?? [], prefixes[image] ?? [])).toBeLessThan(ROUNDING);
  await encoder.dispose();
});

describe('the cache counts queries and text, not the size of the prefix:', () => {
  test('positions that are needed', () => {
    expect(decoder.positionsNeeded(PREFIX + 1, 20)).toBe(8 + 1 + 20);
    // 8 queries and the 40 learned positions of the text.
    expect(decoder.positionsNeeded(PREFIX + 1, 500)).toBe(48);
  });

  test('room for new tokens', () => {
    expect(decoder.room(PREFIX + 1, 29)).toBe(21);
    expect(decoder.room(PREFIX + 30, 29)).toBe(0);
  });
});

test('a prompt without text is refused', async () => {
  const { embeds } = await promptOf(0, [DEC]);
  const row = { embeds: embeds.subarray(0, PREFIX * 64), length: PREFIX };
  await expect(decoder.prefill(decoder.newCache(1, 9), 0, [row])).rejects.toThrow(/at least one token/);
});
