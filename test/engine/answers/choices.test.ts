/** Given answers in a continuous batch, over models whose logits can be worked out by hand. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ContinuousBatch, type GeneratedRow } from '../../../src/engine/answers/continuous-batch.ts';
import { rowsPerAnswer, type GenerationOptions } from '../../../src/engine/model.ts';
import { ImageError } from '../../../src/errors.ts';
import type { LanguageModel } from '../../../src/language/language-model.ts';
import { EOS, fakeDecoder, logitsAfter } from '../fake-decoder.ts';
import { fakeEncoderDecoder, START } from '../fake-encoder-decoder.ts';

type Asked = { image: number[]; text: number[]; search?: GenerationOptions['search'] };

const PLAIN: GenerationOptions = {
  maxNewTokens: 8,
  minNewTokens: 0,
  repetitionPenalty: 1,
  noRepeatNgram: 0,
  eosTokenIds: [EOS],
  stopSequences: [],
  score: true,
};

async function ask(
  language: LanguageModel,
  rows: number,
  asked: readonly Asked[],
): Promise<(GeneratedRow | ImageError)[]> {
  const batch = new ContinuousBatch(language, rows, 24);
  const results: (GeneratedRow | ImageError)[] = [];
  asked.forEach(({ image, text, search }, index) => {
    batch.add({
      imageTokens: Float32Array.from(image),
      segments: [null, text],
      options: { ...PLAIN, ...(search === undefined ? {} : { search }) },
      resolve: (result) => {
        results[index] = result;
      },
    });
  });
  while (!batch.isIdle) await batch.advance();
  return results;
}

function sumOf(prompt: readonly number[], answer: readonly number[]): number {
  return answer.reduce((sum, id, index) => {
    const logits = Float32Array.from(logitsAfter([...prompt, ...answer.slice(0, index)]));
    const total = logits.reduce((all, logit) => all + Math.exp(logit), 0);
    return sum + Math.log(Math.exp(logits[id] ?? NaN) / total);
  }, 0);
}

const tokens = fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 1, maxLength: 6 });
const choices = fc
  .array(tokens, { minLength: 2, maxLength: 24 })
  .map((given) => ({ kind: 'choices' as const, continuations: given.map((one) => [...one, EOS]) }));
const beams = fc.record({
  kind: fc.constant('beams' as const),
  beams: fc.integer({ min: 2, max: 4 }),
  lengthPenalty: fc.constant(1),
});
const asked = fc.record({ image: tokens, text: tokens, search: choices });

const MODELS = [
  ['that reads prompt and answer as one', fakeDecoder, []],
  ['with an encoder for the prompt', fakeEncoderDecoder, [START]],
] as const;

describe.each(MODELS)('of a model %s, given answers', (_, model, start) => {
  test('have the log-probabilities of their tokens behind the prompt', async () => {
    await fc.assert(
      fc.asyncProperty(asked, async ({ image, text, search }) => {
        const [result] = await ask(model(), 16, [{ image, text, search }]);
        if (result === undefined || result instanceof ImageError) throw new Error('there should be an answer');
        expect(result.finishReason).toBe('stop');
        for (const [index, answer] of search.continuations.entries()) {
          expect(result.choices?.logProbabilities[index]).toBeCloseTo(sumOf([...image, ...text, ...start], answer), 5);
        }
      }),
    );
  });

  test('are judged the same alone and beside others, beams and greedy rows among them, in any batch and any order', async () => {
    const mixed = fc.record({
      image: tokens,
      text: tokens,
      search: fc.option(fc.oneof(choices, beams), { nil: undefined }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(mixed, { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 16, max: 40 }),
        async (list, rows) => {
          const given = list.map(({ image, text, search }) => (search ? { image, text, search } : { image, text }));
          const alone: (GeneratedRow | ImageError)[] = [];
          for (const one of given) alone.push(...(await ask(model(), 16, [one])));
          expect(await ask(model(), rows, given)).toEqual(alone);
          expect((await ask(model(), rows, given.toReversed())).toReversed()).toEqual(alone);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('share one reading of the prompt, be they 300', async () => {
    const language = model();
    const continuations = Array.from({ length: 300 }, (_one, n) => [
      1 + (n % 7),
      1 + (Math.floor(n / 7) % 7),
      1 + Math.floor(n / 49),
      EOS,
    ]);
    const search = { kind: 'choices', continuations } as const;
    const [result] = await ask(language, rowsPerAnswer({ search }), [{ image: [3, 1], text: [2], search }]);
    if (result === undefined || result instanceof ImageError) throw new Error('there should be an answer');
    expect(language.prefills).toEqual([1]);
    expect(new Set(language.steps)).toEqual(new Set([8]));
    expect(result.choices?.logProbabilities).toHaveLength(300);
    for (const [index, answer] of continuations.entries())
      expect(result.choices?.logProbabilities[index]).toBeCloseTo(sumOf([3, 1, 2, ...start], answer), 5);
  });
});

test('the sum of a text that was written greedily up to its end is the score that it was written with', async () => {
  let compared = 0;
  for (let image = 1; image <= 10; image++) {
    for (let text = 1; text <= 10; text++) {
      const prompt = { image: [image], text: [text, 3] };
      const [written] = await ask(fakeDecoder(), 1, [prompt]);
      if (written === undefined || written instanceof ImageError || written.finishReason === 'length') continue;
      const search = { kind: 'choices', continuations: [[9, 9, EOS], written.tokenIds, [4, EOS]] } as const;
      const [judged] = await ask(fakeDecoder(), 3, [{ ...prompt, search }]);
      if (judged === undefined || judged instanceof ImageError) throw new Error('there should be an answer');
      expect(judged.choices?.logProbabilities[1]).toBeCloseTo(written.score, 6);
      compared++;
    }
  }
  expect(compared).toBeGreaterThan(20);
});

test('an answer that no room is left for is the error of its image, with what it would take; the others are judged', async () => {
  const long = {
    kind: 'choices',
    continuations: [
      [1, EOS],
      [...Array.from({ length: 9 }, () => 2), EOS],
    ],
  } as const;
  const short = {
    kind: 'choices',
    continuations: [
      [1, EOS],
      [2, EOS],
    ],
  } as const;
  const image = Array.from({ length: 12 }, () => 1);
  const results = await ask(fakeDecoder(24), 2, [
    { image, text: [1, 2, 3], search: long },
    { image, text: [1, 2, 3, 4], search: long },
    { image, text: [1, 2, 3, 4], search: short },
  ]);
  expect(results[0]).toMatchObject({ finishReason: 'stop' });
  expect(results[1]).toMatchObject({
    code: 'prompt-too-long',
    message:
      'image and prompt take 16 positions, which leaves no room for an answer of 10 tokens in the 24 that the model reads. Shorten the prompt.',
  });
  expect(results[2]).toMatchObject({ finishReason: 'stop' });
});

test('logits that are not numbers are the error of their image alone', async () => {
  const language = fakeDecoder();
  const broken: LanguageModel = {
    ...language,
    step: async (cache, tokenIds, lengths) => {
      const logits = await language.step(cache, tokenIds, lengths);
      logits[0] = NaN;
      return logits;
    },
  };
  const search = {
    kind: 'choices',
    continuations: [
      [1, EOS],
      [2, EOS],
    ],
  } as const;
  const results = await ask(broken, 4, [
    { image: [1], text: [1], search },
    { image: [2], text: [2], search },
  ]);
  expect(results[0]).toMatchObject({ code: 'not-a-number' });
  expect(results[0]).toHaveProperty('message', expect.stringContaining('after 1 tokens'));
  expect(results[1]).toMatchObject({ finishReason: 'stop' });
});
