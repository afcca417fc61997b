import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { samplingKey } from '../../../src/engine/choosers.ts';
import { ContinuousBatch, type GeneratedRow } from '../../../src/engine/answers/continuous-batch.ts';
import type { GenerationOptions } from '../../../src/engine/model.ts';
import { ImageError } from '../../../src/errors.ts';
import { BeamSearch } from '../../../src/language/beam-search.ts';
import type { LanguageModel } from '../../../src/language/language-model.ts';
import { EOS, expectedTokens, fakeDecoder, logitsAfter, VOCAB } from '../fake-decoder.ts';
import { plainDecoder } from '../../language/stop-rules.ts';
import { fakeEncoderDecoder, START } from '../fake-encoder-decoder.ts';

type Prompt = {
  image: number[];
  text: number[];
  maxNewTokens: number;
  stopSequences?: number[][];
  search?: GenerationOptions['search'];
  stopTexts?: string[];
};

async function generate(
  language: LanguageModel,
  rows: number,
  maxLength: number,
  prompts: Prompt[],
): Promise<(GeneratedRow | ImageError)[]> {
  const batch = new ContinuousBatch(language, rows, maxLength, () =>
    plainDecoder((ids) => ids.map((id) => 'abcdefghijk'[id]).join('')),
  );
  const results: (GeneratedRow | ImageError)[] = [];
  prompts.forEach(({ image, text, maxNewTokens, stopSequences = [], search, stopTexts = [] }, index) => {
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
        score: true,
        stopTexts,
        ...(search === undefined ? {} : { search }),
      },
      key: samplingKey(Float32Array.from(image), [null, text]),
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

const sampling = fc.record({
  kind: fc.constant('sampling' as const),
  temperature: fc.double({ min: 0.3, max: 2, noNaN: true }),
  topK: fc.nat(VOCAB),
  topP: fc.double({ min: 0.1, max: 1, noNaN: true }),
  seed: fc.nat(),
});
const beams = fc.record({
  kind: fc.constant('beams' as const),
  beams: fc.integer({ min: 2, max: 4 }),
  lengthPenalty: fc.constantFrom(-1, 0, 1),
});
const searches = fc.array(fc.record({ prompt, search: fc.option(fc.oneof(sampling, beams), { nil: undefined }) }), {
  minLength: 1,
  maxLength: 12,
});

describe.each(MODELS)(
  'of a model %s, with beams, sampling and greedy rows side by side, an answer is the same',
  (_, model) => {
    test('alone, in a batch of any number of rows, and in any order', async () => {
      await fc.assert(
        fc.asyncProperty(searches, fc.integer({ min: 4, max: 11 }), async (list, rows) => {
          const given = list.map(({ prompt: one, search }) => (search === undefined ? one : { ...one, search }));
          const alone: (GeneratedRow | ImageError)[] = [];
          for (const one of given) alone.push(...(await generate(model(), 4, 24, [one])));
          expect(await generate(model(), rows, 24, given)).toEqual(alone);
          const backwards = await generate(model(), rows, 24, given.toReversed());
          expect(backwards.toReversed()).toEqual(alone);
        }),
      );
    });

    test('whether its keys are kept in the cache or computed anew from the beginning', async () => {
      await fc.assert(
        fc.asyncProperty(prompt, beams, async (one, search) => {
          const [answer] = await generate(model(), 4, 24, [{ ...one, search }]);
          const language = model();
          const start = language.declaration.decoderStartTokenId;
          const history = [...one.image, ...one.text, ...(start === undefined ? [] : [start])];
          const limits = {
            maxNewTokens: one.maxNewTokens,
            eosTokenIds: [EOS],
            stopRules: [],
            filters: [],
            score: true,
          };
          const uncached = new BeamSearch(0, limits, search);
          let rows: number[][] = Array.from({ length: search.beams }, () => []);
          let end = uncached.advance(Float32Array.from(logitsAfter(history)));
          while (end === undefined) {
            const { copies, nextTokenIds } = uncached;
            const origin = rows.map((_row, row) => copies.find(({ to }) => to === row)?.from ?? row);
            rows = origin.map((from, row) => [...(rows[from] ?? []), nextTokenIds[row] ?? -1]);
            end = uncached.advance(Float32Array.from(rows.flatMap((row) => logitsAfter([...history, ...row]))));
          }
          expect(answer).toEqual({ ...uncached.written, finishReason: end });
        }),
      );
    });
  },
);

test('drawing from one token is greedy, and so is one beam', async () => {
  await fc.assert(
    fc.asyncProperty(prompts, fc.nat(), async (list, seed) => {
      const greedy = await generate(fakeDecoder(), 3, 24, list);
      for (const search of [
        { kind: 'sampling', temperature: 1.5, topK: 1, topP: 1, seed },
        { kind: 'beams', beams: 1, lengthPenalty: 0 },
      ] as const) {
        const other = await generate(
          fakeDecoder(),
          3,
          24,
          list.map((one) => ({ ...one, search })),
        );
        expect(other).toEqual(greedy);
      }
    }),
  );
});

/** Some answers are a single token: eight of them cannot all be the same by chance. */
async function draw(seed: number, image: number[], text: number[]): Promise<string> {
  const search = { kind: 'sampling', temperature: 9, topK: 0, topP: 1, seed } as const;
  const list = Array.from({ length: 8 }, (_, id) => ({ image, text: [...text, 1 + id], maxNewTokens: 12, search }));
  return JSON.stringify(await generate(fakeDecoder(), 3, 24, list));
}

test('another seed, picture or prompt draws other tokens', async () => {
  const texts = [await draw(1, [1, 2], [3]), await draw(2, [1, 2], [3]), await draw(1, [2, 1], [3])];
  texts.push(await draw(1, [1, 2], [4]));
  expect(new Set(texts).size).toBe(4);
  expect(await draw(1, [1, 2], [3])).toBe(texts[0]);
});

test('a stop text ends a greedy row and a beam with the token that completes it', async () => {
  const free = { image: [3], text: [2], maxNewTokens: 12 };
  const written = expectedTokens([3, 2], 12);
  const stopTexts = [
    written
      .slice(1, 3)
      .map((id) => 'abcdefghijk'[id])
      .join(''),
  ];
  const search = { kind: 'beams', beams: 3, lengthPenalty: 1 } as const;
  const [row, beam] = await generate(fakeDecoder(), 6, 24, [
    { ...free, stopTexts },
    { ...free, stopTexts, search },
  ]);
  expect(row).toMatchObject({ tokenIds: written.slice(0, 3), finishReason: 'stop' });
  if (beam === undefined || beam instanceof ImageError) throw new Error('the beams should write');
  const text = beam.tokenIds.map((id) => 'abcdefghijk'[id]).join('');
  const stop = stopTexts[0] ?? '';
  expect(text.indexOf(stop) < 0 || text.endsWith(stop)).toBe(true);
});

test('an answer with more beams than there are rows is a mistake of the caller', async () => {
  const search = { kind: 'beams', beams: 5, lengthPenalty: 1 } as const;
  const asked = generate(fakeDecoder(), 4, 24, [{ image: [1], text: [2], maxNewTokens: 3, search }]);
  await expect(asked).rejects.toThrow(RangeError);
});

test('a prompt of beams is read once, and NaN in one beam is that image’s error alone', async () => {
  const decoder = fakeDecoder();
  const search = { kind: 'beams', beams: 4, lengthPenalty: 1 } as const;
  const broken: LanguageModel = {
    ...decoder,
    step: async (...given) => {
      const logits = await decoder.step(...given);
      return logits.fill(NaN, 6 * VOCAB, 7 * VOCAB); // a beam of the second answer
    },
  };
  const [first, second] = await generate(broken, 8, 24, [
    { image: [1], text: [2], maxNewTokens: 2, search },
    { image: [3], text: [2], maxNewTokens: 2, search },
  ]);
  expect(decoder.prefills).toEqual([2]);
  expect(first).toMatchObject({ finishReason: expect.any(String) });
  expect(second).toMatchObject({ code: 'not-a-number' });
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
