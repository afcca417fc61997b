/** Given answers, judged by tiny models of three kinds, token by token against Hugging Face transformers (test/fixtures/choices). */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pixelValuesOf } from '../../src/engine/golden/stages.ts';
import { InferenceLoop } from '../../src/engine/answers/loop.ts';
import type { GeneratedRow } from '../../src/engine/answers/continuous-batch.ts';
import type { AnswerOptions, PromptIds, TokenizedPrompt } from '../../src/engine/model.ts';
import { ModelTexts } from '../../src/engine/texts/model-texts.ts';
import { loadStages, type ModelStages } from '../../src/engine/model-stages.ts';
import { ImageError } from '../../src/errors.ts';
import { importCheckpoint } from '../../src/importer/import-checkpoint.ts';
import { readPack, type Pack } from '../../src/pack/model-declaration.ts';
import { readGoldenFolder } from './golden-folder.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures');

/** Logits are within 5e-4, so a log-probability is within twice that; measured 3e-5. */
const TOLERANCE = 1e-3;

const OPTIONS: AnswerOptions = {
  maxNewTokens: 20,
  minNewTokens: 0,
  repetitionPenalty: 1,
  noRepeatNgram: 0,
  score: true,
};

type Case = {
  fixture: string;
  question: string;
  prompt: string;
  images: number[];
  /** Log-probabilities are those of each image's tokens. */
  choices: { choice: string; ids: number[]; logProbabilities: number[][] }[];
};

const { cases } = JSON.parse(readFileSync(join(FIXTURES, 'choices/choices.json'), 'utf8')) as { cases: Case[] };

const SOURCES: Readonly<Record<string, string[]>> = {
  'hf-blip2-opt': ['model'],
  'hf-blip2-t5': ['model'],
  'minigpt4-vicuna': ['eva_vit_g.pth', 'blip2_pretrained_flant5xxl.pth', 'vicuna', 'pretrained_minigpt4_7b.pth'],
};

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-choices-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** Answers prompts about several images, as the inference thread does. */
async function answer(
  { encoder, language }: ModelStages,
  batchSize: number,
  images: readonly Float32Array[],
  prompts: readonly PromptIds[],
  eosTokenIds: readonly number[],
): Promise<GeneratedRow[][]> {
  const options = { ...OPTIONS, eosTokenIds, stopSequences: [] };
  const loop = new InferenceLoop(encoder, language, { batchSize, groupSize: 1 });
  const answered = await Promise.all(
    images.map(async (pixelValues) => loop.answer({ pixelValues: pixelValues.slice(), prompts, options })),
  );
  await loop.close();
  return answered.map((results) =>
    results.map((result) => {
      if (result instanceof ImageError) throw result;
      return result;
    }),
  );
}

describe.each(cases)('$fixture', ({ fixture, question, prompt: promptText, images, choices }) => {
  let pack: Pack;
  let stages: ModelStages;
  let pixels: Float32Array[];
  let prompt: TokenizedPrompt;

  beforeAll(async () => {
    const directory = await mkdtemp(join(folder, 'pack-'));
    const source = join(FIXTURES, fixture);
    await importCheckpoint(directory, {
      sources: (SOURCES[fixture] ?? []).map((path) => join(source, path)),
      id: 'tiny',
      precision: 'fp32',
      config: fixture.startsWith('hf-') ? undefined : join(source, 'architecture.json'),
    });
    pack = await readPack(directory);
    stages = await loadStages(pack, { threads: 1 });
    const texts = await ModelTexts.load(pack);
    prompt = texts.questionPrompt(question, { choices: choices.map(({ choice }) => choice) });
    const all = await pixelValuesOf(await readGoldenFolder(source));
    pixels = images.flatMap((image) => all[image] ?? []);
  });

  afterAll(async () => {
    await stages.encoder.dispose();
    await stages.language.dispose();
  });

  test('the prompt is that of the reference, and so are the ids of every choice and its end', () => {
    expect(prompt.text).toBe(promptText);
    expect(prompt.continuations).toEqual(choices.map(({ ids }) => ids));
  });

  test('the log-probability of every token is that of the reference, within 1e-3', async () => {
    // The beginnings of a choice as choices of their own: the difference of two sums is one token's.
    const continuations = choices.flatMap(({ ids }) => ids.map((_, index) => ids.slice(0, index + 1)));
    const results = await answer(stages, 1, pixels, [{ ...prompt, continuations }], []);
    expect(results).toHaveLength(images.length);
    for (const [image, [result]] of results.entries()) {
      const sums = [...(result?.choices?.logProbabilities ?? [])];
      for (const { choice, logProbabilities } of choices) {
        let before = 0;
        for (const [index, expected] of (logProbabilities[image] ?? []).entries()) {
          const sum = sums.shift() ?? NaN;
          expect(Math.abs(sum - before - expected), `token ${index} of "${choice}"`).toBeLessThan(TOLERANCE);
          before = sum;
        }
      }
      expect(sums).toEqual([]);
    }
  });

  test('the choice whose mean is greatest is chosen, with the ids and the sum of the reference', async () => {
    const results = await answer(stages, 4, pixels, [prompt], []);
    for (const [image, [result]] of results.entries()) {
      const sums = choices.map(({ logProbabilities }) => (logProbabilities[image] ?? []).reduce((a, b) => a + b, 0));
      const means = sums.map((sum, index) => sum / (choices[index]?.ids.length ?? NaN));
      const best = means.indexOf(Math.max(...means));
      expect(result?.choices?.chosen).toBe(best);
      expect(result?.tokenIds).toEqual(choices[best]?.ids);
      expect(Math.abs((result?.score ?? NaN) - (sums[best] ?? NaN))).toBeLessThan(TOLERANCE);
      expect(result?.finishReason).toBe('stop');
    }
  });

  test('a sum is the same alone, beside other choices in any order, and in a batch of images: within 1e-5', async () => {
    const continuations = prompt.continuations ?? [];
    const together = await answer(stages, 4, pixels, [prompt], []);
    const backwards = await answer(
      stages,
      1,
      pixels.toReversed(),
      [{ ...prompt, continuations: continuations.toReversed() }],
      [],
    );
    const alone = await answer(
      stages,
      1,
      pixels,
      continuations.map((one) => ({ ...prompt, continuations: [one] })),
      [],
    );
    for (const image of images.keys()) {
      const sums = together[image]?.[0]?.choices?.logProbabilities ?? [];
      const reversed = backwards[images.length - 1 - image]?.[0]?.choices?.logProbabilities.toReversed() ?? [];
      expect(sums).toHaveLength(choices.length);
      for (const [index, sum] of sums.entries()) {
        expect(Math.abs((reversed[index] ?? NaN) - sum)).toBeLessThan(1e-5);
        expect(Math.abs((alone[image]?.[index]?.choices?.logProbabilities[0] ?? NaN) - sum)).toBeLessThan(1e-5);
      }
    }
  });
});

test('what nano writes greedily has, among choices, the sum that it was written with: within 1e-4', async () => {
  const pack = await readPack(join(import.meta.dirname, '../../models/nano'));
  const eos = pack.declaration.language?.eosTokenIds ?? [];
  const stages = await loadStages(pack, { threads: 1 });
  try {
    const texts = await ModelTexts.load(pack);
    const prompt = texts.questionPrompt('What is this?', { choices: ['a photograph of a street', 'no'] });
    const pixels = await pixelValuesOf(await readGoldenFolder(join(FIXTURES, 'nano')));
    const { continuations: given = [], ...unanswered } = prompt;
    const written = await answer(stages, 8, pixels, [unanswered], eos);
    let compared = 0;
    for (const [image, [answered]] of written.entries()) {
      const pixelValues = pixels[image];
      if (pixelValues === undefined || answered === undefined || answered.finishReason !== 'stop') continue;
      const continuations = [...given, answered.tokenIds];
      const [[judged] = []] = await answer(stages, 1, [pixelValues], [{ ...unanswered, continuations }], eos);
      expect(Math.abs((judged?.choices?.logProbabilities[2] ?? NaN) - answered.score)).toBeLessThan(1e-4);
      compared++;
    }
    expect(compared).toBeGreaterThan(10);
  } finally {
    await stages.encoder.dispose();
    await stages.language.dispose();
  }
});
