import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ContinuousBatch, type GeneratedRow } from '../../src/engine/continuous-batch.ts';
import { ImageError } from '../../src/errors.ts';
import type { LanguageModel } from '../../src/language/language-model.ts';
import { EOS, expectedTokens, fakeDecoder } from './fake-decoder.ts';
import { fakeEncoderDecoder, START } from './fake-encoder-decoder.ts';

type Prompt = { image: number[]; text: number[]; maxNewTokens: number; stopSequences?: number[][] };

async function generate(
  language: LanguageModel,
  rows: number,
  maxLength: number,
  prompts: Prompt[],
): Promise<(GeneratedRow | ImageError)[]> {
  const batch = new ContinuousBatch(language, rows, maxLength);
  const results: (GeneratedRow | ImageError)[] = [];
  prompts.forEach(({ image, text, maxNewTokens, stopSequences = [] }, index) => {
    batch.add({
      imageTokens: Float32Array.from(image),
      segments: [null, text],
      options: {
        maxNewTokens,
        minNewTokens: 0,
        repetitionPenalty: 1,
        noRepeatNgram: 0,
        eosTokenIds: [EOS],
        stopSequences,
        score: false,
      },
      resolve: (result) => {
        results[index] = result;
      },
    });
  });
  while (!batch.isIdle) await batch.advance();
  return results;
}

const tokens = fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 1, maxLength: 6 });
const prompt = fc.record({ image: tokens, text: tokens, maxNewTokens: fc.integer({ min: 1, max: 12 }) });
const prompts = fc.array(prompt, { minLength: 1, maxLength: 20 });

const MODELS = [
  ['that reads prompt and answer as one', fakeDecoder, []],
  ['with an encoder for the prompt', fakeEncoderDecoder, [START]],
] as const;

describe.each(MODELS)('of a model %s, an answer is the same', (_, model, start) => {
  test('alone and in a batch of any number of rows, for prompts of any length', async () => {
    await fc.assert(
      fc.asyncProperty(prompts, fc.integer({ min: 1, max: 7 }), async (list, rows) => {
        const results = await generate(model(), rows, 24, list);
        const expected = list.map(({ image, text, maxNewTokens }) =>
          expectedTokens([...image, ...text, ...start], maxNewTokens),
        );
        expect(results.map((result) => (result instanceof ImageError ? result : result.tokenIds))).toEqual(expected);
      }),
    );
  });

  test('in any order of arrival', async () => {
    await fc.assert(
      fc.asyncProperty(prompts, async (list) => {
        const forwards = await generate(model(), 3, 24, list);
        const backwards = await generate(model(), 3, 24, list.toReversed());
        expect(backwards.toReversed()).toEqual(forwards);
      }),
    );
  });
});

test('a row that ends gives its place to the next prompt while the others go on', async () => {
  const decoder = fakeDecoder();
  const list = Array.from({ length: 12 }, (_, i) => ({
    image: [1 + (i % 5)],
    text: [2, 1 + (i % 7)],
    maxNewTokens: 12,
  }));
  await generate(decoder, 4, 16, list);
  const rowsStepped = decoder.steps.reduce((sum, rows) => sum + rows, 0);
  const written = list.map(({ image, text }) => expectedTokens([...image, ...text], 12).length);
  // The first token of a row comes with its prompt; every other costs one row of one step, and none is computed for rows that ended.
  expect(rowsStepped).toBe(written.reduce((sum, length) => sum + length - 1, 0));
  expect(decoder.prefills.length).toBeGreaterThan(1);
});

test('a prompt that leaves no room for an answer is that image’s error, and the others are answered', async () => {
  const long = { image: [1, 2, 3, 4], text: [5, 6, 7, 8], maxNewTokens: 3 };
  const short = { image: [1], text: [2], maxNewTokens: 3 };
  const [first, second, third] = await generate(fakeDecoder(), 4, 8, [short, long, short]);
  expect(second).toMatchObject({ code: 'prompt-too-long' });
  expect((second as ImageError).message).toContain('8 positions');
  expect(first).toEqual(third);
  expect(first).toMatchObject({ tokenIds: expectedTokens([1, 2], 3) });
});

test('the end of the context ends an answer with "length"', async () => {
  const [result] = await generate(fakeDecoder(), 1, 5, [{ image: [1], text: [2], maxNewTokens: 50 }]);
  const expected = expectedTokens([1, 2], 4);
  expect(result).toMatchObject({ tokenIds: expected, finishReason: expected.at(-1) === 0 ? 'stop' : 'length' });
});

test('a model with an encoder writes as much after a long prompt as after a short one', async () => {
  const short = { image: [1], text: [2], maxNewTokens: 5 };
  const long = { image: [1, 2, 3], text: [4, 5], maxNewTokens: 5 };
  const tooLong = { image: [1, 2, 3], text: [4, 5, 6], maxNewTokens: 5 };
  const [first, second, third] = await generate(fakeEncoderDecoder(), 2, 5, [short, long, tooLong]);
  expect(first).toMatchObject({ tokenIds: expectedTokens([1, 2, START], 5) });
  expect(second).toMatchObject({ tokenIds: expectedTokens([1, 2, 3, 4, 5, START], 5) });
  expect(third).toMatchObject({ code: 'prompt-too-long' });
});

test('a row ends with its stop sequence, and no other row does', async () => {
  const free = { image: [3], text: [2], maxNewTokens: 12 };
  const written = expectedTokens([3, 2], 12);
  expect(written.length).toBeGreaterThan(4);
  const [stopped, other] = await generate(fakeDecoder(), 2, 24, [
    { ...free, stopSequences: [written.slice(1, 3)] },
    free,
  ]);
  expect(stopped).toMatchObject({ tokenIds: written.slice(0, 3), finishReason: 'stop' });
  expect(other).toMatchObject({ tokenIds: written });
});

test('NaN from the model is that image’s error, never text', async () => {
  const decoder = fakeDecoder();
  const broken: LanguageModel = {
    ...decoder,
    step: async (...given) => (await decoder.step(...given)).fill(NaN, 0, 11),
  };
  const results = await generate(broken, 2, 24, [
    { image: [1], text: [2], maxNewTokens: 6 },
    { image: [3], text: [2], maxNewTokens: 6 },
  ]);
  const failed = results.filter((result) => result instanceof ImageError);
  expect(failed.length).toBeGreaterThan(0);
  for (const error of failed) expect(error).toMatchObject({ code: 'not-a-number' });
});
