/** T5 on a tiny checkpoint, compared with Hugging Face transformers, alone and among other rows. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ContinuousBatch, type GeneratedRow } from '../../src/engine/answers/continuous-batch.ts';
import type { Golden } from '../../src/engine/golden/record.ts';
import { ImageError, PackError } from '../../src/errors.ts';
import { EncoderDecoder } from '../../src/language/encoder-decoder.ts';
import { KvCache } from '../../src/language/kv-cache.ts';
import type { RowEmbeds } from '../../src/language/language-model.ts';
import { loadLanguageModel } from '../../src/language/load-language-model.ts';
import { readPack, type Pack } from '../../src/pack/model-declaration.ts';
import { readGoldenFolder } from '../golden/golden-folder.ts';
import { largestDifference, rowsOf } from '../vision/tiny-pack.ts';
import { buildT5Pack, type T5Pack } from './t5-pack.ts';

const FIXTURE = join(import.meta.dirname, '../fixtures/hf-blip2-t5');
/** Measured: 4e-6 for the encoder, 8e-6 for first logits, 3.4e-5 for logits after up to 131 steps. */
const HIDDEN_TOLERANCE = 1e-4;
const LOGIT_TOLERANCE = 5e-4;
/** Between two ways of computing the same. */
const ROUNDING = 5e-5;

let pack: T5Pack;
let golden: Golden;
let model: EncoderDecoder;

beforeAll(async () => {
  pack = await buildT5Pack(join(FIXTURE, 'model'));
  golden = await readGoldenFolder(FIXTURE);
  model = await EncoderDecoder.load(pack.directory, pack.language, { threads: 1 });
});

afterAll(async () => {
  await model.dispose();
  await rm(pack.directory, { recursive: true });
});

async function recorded(name: string): Promise<Float32Array> {
  const values = await golden.tensor(name);
  if (values === undefined) throw new Error(`the record holds no ${name}`);
  return values;
}

async function imageTokensOf(image: number): Promise<Float32Array> {
  const imageTokens = rowsOf(await recorded('image_tokens'), golden.images.length)[image];
  if (imageTokens === undefined) throw new Error(`the record has no image ${image}`);
  return imageTokens;
}

async function promptOf(image: number, prompt: number): Promise<RowEmbeds> {
  const imageTokens = await imageTokensOf(image);
  const segments = golden.prompts[prompt]?.segmentIds ?? [];
  const parts = [];
  for (const ids of segments) parts.push(ids === null ? imageTokens : await model.embedTokens(ids));
  const embeds = Float32Array.from(parts.flatMap((part) => [...part]));
  return { embeds, length: embeds.length / pack.language.hiddenSize };
}

/** Logits after a prompt, and after each of the ids that are then fed. */
async function logitsAfter(row: RowEmbeds, forcedIds: readonly number[]): Promise<Float32Array[]> {
  const cache = model.newCache(1, model.positionsNeeded(row.length, forcedIds.length + 1));
  const { logits, lengths } = await model.prefill(cache, 0, [row]);
  expect(lengths).toEqual([1]);
  const steps = [logits];
  for (const [step, id] of forcedIds.entries()) steps.push(await model.step(cache, [id], [1 + step]));
  return steps;
}

describe('compared with the reference', () => {
  test('every tensor of the language model is used', () => {
    expect(pack.leftOver.filter((name) => name.startsWith('language_model.'))).toEqual([]);
  });

  test('embeddings, encoder and first logits are its own for every image and prompt', async () => {
    let checked = 0;
    for (const { index, image, prompt } of golden.probes) {
      const embeds = await golden.tensor(`probe${index}.inputs_embeds`);
      if (embeds === undefined) continue;
      const row = await promptOf(image, prompt);
      expect(largestDifference(row.embeds, embeds)).toBe(0);
      const encoded = await model.encode(row);
      expect(largestDifference(encoded, await recorded(`probe${index}.encoder_output`))).toBeLessThan(HIDDEN_TOLERANCE);
      const [first = new Float32Array()] = await logitsAfter(row, []);
      expect(largestDifference(first, await recorded(`probe${index}.first_logits`))).toBeLessThan(LOGIT_TOLERANCE);
      checked++;
    }
    expect(checked).toBe(20);
  });

  test('so are the logits of every step, over distances up to the last bucket', async () => {
    const counts = [];
    for (const { index, image, prompt, forcedIds } of golden.probes) {
      if (forcedIds.length === 0) continue;
      const steps = await logitsAfter(await promptOf(image, prompt), forcedIds);
      const expected = await recorded(`probe${index}.step_logits`);
      const received = steps.flatMap((logits) => [...logits]).slice(0, expected.length);
      expect(largestDifference(received, expected)).toBeLessThan(LOGIT_TOLERANCE);
      counts.push(expected.length / pack.language.vocabSize);
    }
    expect(counts).toEqual([20, 132]);
  });

  test.each([
    ['alone', 1, false],
    ['in a batch', 16, false],
    ['in reverse order through few rows', 5, true],
  ])('greedy ids are equal %s', async (_, rows, isReversed) => {
    const cases = golden.cases.filter(
      ({ options }) => options.beams === 1 && options.repetitionPenalty === 1 && options.noRepeatNgram === 0,
    );
    if (isReversed) cases.reverse();
    expect(cases.length).toBeGreaterThanOrEqual(20);
    const results: (GeneratedRow | ImageError)[] = [];
    const batch = new ContinuousBatch(model, rows, 206);
    for (const [index, { image, prompt = -1, options }] of cases.entries()) {
      batch.add({
        imageTokens: await imageTokensOf(image),
        segments: golden.prompts[prompt]?.segmentIds ?? [],
        options: {
          maxNewTokens: options.maxNewTokens,
          minNewTokens: options.minNewTokens,
          repetitionPenalty: 1,
          noRepeatNgram: 0,
          eosTokenIds: golden.stopIds,
          stopSequences: [],
          score: false,
        },
        resolve: (result) => {
          results[index] = result;
        },
      });
    }
    while (!batch.isIdle) await batch.advance();
    expect(results.map((result) => (result instanceof ImageError ? result : result.tokenIds))).toEqual(
      cases.map(({ ids }) => ids),
    );
  });
});

describe('a row’s numbers depend on its own prompt alone:', () => {
  /** Prompts of 9, 12, 22, 58 and 206 positions. */
  const prompts = [0, 1, 2, 3, 4];
  const ids = [17, 301, 5, 88];

  test('prompts of very different lengths are read together as if alone', async () => {
    const rows = await Promise.all(prompts.map(async (prompt) => promptOf(prompt % 4, prompt)));
    expect(rows.map(({ length }) => length)).toEqual([9, 12, 22, 58, 206]);
    const cache = model.newCache(6, 300);
    const { logits } = await model.prefill(cache, 1, rows);
    const together = rowsOf(logits, rows.length);
    for (const [index, row] of rows.entries()) {
      const [alone = new Float32Array()] = await logitsAfter(row, []);
      expect(largestDifference(together[index] ?? [], alone)).toBeLessThan(ROUNDING);
    }
  });

  test('rows that have written more and fewer tokens take a step together as if alone, also where others were before', async () => {
    const cache = model.newCache(3, 300);
    // Rows that computed nothing but NaN stood in every place before.
    const broken = { embeds: new Float32Array(100 * 64).fill(NaN), length: 100 };
    const { logits: lost } = await model.prefill(cache, 0, [broken, broken, broken]);
    expect(lost.every(Number.isNaN)).toBe(true);
    for (let step = 1; step < 40; step++) await model.step(cache, [1, 2, 3], [step, step, step]);

    const rows = [await promptOf(0, 2), await promptOf(1, 3), await promptOf(2, 0)];
    const alone = await Promise.all(rows.map(async (row) => logitsAfter(row, ids)));
    // The third row comes last, and then moves to where the first one ended.
    await model.prefill(cache, 0, rows.slice(0, 2));
    for (const step of [0, 1]) await model.step(cache, [ids[step] ?? 0, ids[step] ?? 0], [1 + step, 1 + step]);
    await model.prefill(cache, 2, rows.slice(2));
    const step = await model.step(cache, [ids[2] ?? 0, ids[2] ?? 0, ids[0] ?? 0], [3, 3, 1]);
    const [first, second, third] = rowsOf(step, 3);
    expect(largestDifference(first ?? [], alone[0]?.[3] ?? [])).toBeLessThan(ROUNDING);
    expect(largestDifference(second ?? [], alone[1]?.[3] ?? [])).toBeLessThan(ROUNDING);
    expect(largestDifference(third ?? [], alone[2]?.[1] ?? [])).toBeLessThan(ROUNDING);
    cache.copyRow(2, 0);
    const moved = rowsOf(await model.step(cache, [ids[1] ?? 0, ids[3] ?? 0], [2, 4]), 2);
    expect(largestDifference(moved[0] ?? [], alone[2]?.[2] ?? [])).toBeLessThan(ROUNDING);
    expect(largestDifference(moved[1] ?? [], alone[1]?.[4] ?? [])).toBeLessThan(ROUNDING);
  });
});

describe('the length of a cache', () => {
  test('is that of the prompt or of the answer with its start token, whichever is longer', () => {
    expect(model.positionsNeeded(40, 20)).toBe(40);
    expect(model.positionsNeeded(10, 20)).toBe(21);
    expect(model.positionsNeeded(600, 20)).toBe(512);
  });

  test('leaves room for as many tokens, however long the prompt is, unless the prompt itself is longer', async () => {
    expect([model.room(1, 20), model.room(20, 20), model.room(21, 20)]).toEqual([20, 20, 0]);
    const cache = model.newCache(1, 9);
    await model.prefill(cache, 0, [await promptOf(0, 0)]);
    for (let step = 1; step < 9; step++) await model.step(cache, [3], [step]);
    await expect(model.step(cache, [3], [9])).rejects.toThrow(RangeError);
  });
});

test('a cache in which a long row has ended becomes small again on both sides, and the row that goes on does not notice', async () => {
  const ids = Array.from({ length: 90 }, (_, index) => (index * 31 + 7) % pack.language.vocabSize);
  const [short, long] = [await promptOf(0, 0), await promptOf(0, 4)];
  const alone = await logitsAfter(short, ids);
  const cache = model.newCache(2, 300);
  // A long prompt and a long answer stand in the second row.
  await model.prefill(cache, 0, [short, long]);
  for (let step = 1; step <= 10; step++) await model.step(cache, [ids[step - 1] ?? 0, 5], [step, 200 + step]);
  expect(cache.capacities).toEqual({ encoder: 224, decoder: 224 });
  for (let step = 11; step < 44; step++) await model.step(cache, [ids[step - 1] ?? 0], [step]);
  expect(cache.capacities).toEqual({ encoder: 32, decoder: 64 });
  for (let step = 44; step <= ids.length; step++) {
    const logits = await model.step(cache, [ids[step - 1] ?? 0], [step]);
    expect(largestDifference(logits, alone[step] ?? new Float32Array())).toBeLessThan(ROUNDING);
  }
});

test('a cache that another kind of model made is refused', async () => {
  const foreign = new KvCache({ rows: 1, layers: 3, heads: 4, maxLength: 9, headDim: 16 });
  await expect(model.prefill(foreign, 0, [await promptOf(0, 0)])).rejects.toThrow('only for the model that made it');
});

/** The pack with another declaration of its language model. */
async function packWith(language: T5Pack['language'] | undefined): Promise<Pack> {
  const nano = await readPack(join(import.meta.dirname, '../../models/nano'));
  return { ...nano, directory: pack.directory, declaration: { ...nano.declaration, language } };
}

describe('loading by what the pack declares', () => {
  test('an encoder-decoder model is loaded as one', async () => {
    const loaded = await loadLanguageModel(await packWith(pack.language), { threads: 1 });
    expect(loaded).toBeInstanceOf(EncoderDecoder);
    await loaded.dispose();
  });

  test('an encoder-decoder model without a start token is refused', async () => {
    const loading = loadLanguageModel(await packWith({ ...pack.language, decoderStartTokenId: undefined }), {
      threads: 1,
    });
    await expect(loading).rejects.toThrow(PackError);
    await expect(loading).rejects.toThrow('decoder_start_token_id');
  });

  test('graphs of the other kind are refused', async () => {
    const loading = loadLanguageModel(await packWith({ ...pack.language, kind: 'decoder-only' }), { threads: 1 });
    await expect(loading).rejects.toThrow(PackError);
    await expect(loading).rejects.toThrow('Import the model again');
  });

  test('a pack that only matches has no language model to load', async () => {
    await expect(loadLanguageModel(await packWith(undefined), { threads: 1 })).rejects.toThrow(
      'It has no language model',
    );
  });
});
