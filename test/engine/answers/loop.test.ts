import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { InferenceLoop, type PromptResult, type RequestEncoder } from '../../../src/engine/answers/loop.ts';
import type { AnswerRequest } from '../../../src/engine/answers/messages.ts';
import { ImageError } from '../../../src/errors.ts';
import type { LanguageModel } from '../../../src/language/language-model.ts';
import { ImageEmbeds } from '../../../src/vision/image-embeds.ts';
import { EOS, expectedTokens, fakeDecoder } from '../fake-decoder.ts';
import { fakeEncoderDecoder, START } from '../fake-encoder-decoder.ts';

/** An encoder whose image tokens are the pixels, and then the instruction where it reads one; `refuse` makes a batch fail. */
function fakeEncoder(
  refuse: (images: readonly Float32Array[]) => boolean = () => false,
  readsInstruction = false,
): RequestEncoder & { batches: number[] } {
  const batches: number[] = [];
  return {
    batches,
    readsInstruction,
    embedImages: async (images) => {
      batches.push(images.length);
      if (refuse(images)) throw new Error('no memory\nat some place');
      const pixels = images.flatMap((image) => [...image]);
      return new ImageEmbeds(Float32Array.from(pixels), [images.length, 1, pixels.length / images.length]);
    },
    imageTokens: async (imageEmbeds, images, instructions) =>
      images.map((image, pair) => {
        const pixels = imageEmbeds.select([image]).data as Float32Array;
        return Float32Array.from([...pixels, ...(instructions?.[pair] ?? [])]);
      }),
  };
}

const request = (pixels: number[], texts: number[][], maxNewTokens = 6): AnswerRequest => ({
  pixelValues: Float32Array.from(pixels),
  prompts: texts.map((text) => ({ segments: [null, text], instruction: undefined })),
  options: {
    maxNewTokens,
    minNewTokens: 0,
    repetitionPenalty: 1,
    noRepeatNgram: 0,
    eosTokenIds: [EOS],
    stopSequences: [],
    score: false,
  },
});

async function answerAll(
  encoder: ReturnType<typeof fakeEncoder>,
  requests: AnswerRequest[],
  batchSize = 4,
  decoder: LanguageModel = fakeDecoder(),
): Promise<PromptResult[][]> {
  const loop = new InferenceLoop(encoder, decoder, { batchSize, groupSize: 1 });
  return Promise.all(requests.map(async (one) => loop.answer(one)));
}

test('every prompt of an image is answered, in order, and the image is encoded once', async () => {
  const encoder = fakeEncoder();
  const [results] = await answerAll(encoder, [request([4], [[1, 2], [3], [5, 5, 5]])]);
  expect(encoder.batches).toEqual([1]);
  expect(results).toMatchObject(
    [[1, 2], [3], [5, 5, 5]].map((text) => ({ tokenIds: expectedTokens([4, ...text], 6) })),
  );
});

test('a Q-Former that reads the instruction makes image tokens for each prompt, of images that are encoded once', async () => {
  const encoder = fakeEncoder(() => false, true);
  const asked = [4, 7].map((pixel) => ({
    ...request([pixel], []),
    prompts: [[1, 2], [3]].map((instruction) => ({ segments: [null, [9]], instruction })),
  }));
  const answers = await answerAll(encoder, asked);
  expect(encoder.batches).toEqual([2]);
  [4, 7].forEach((pixel, id) => {
    expect(answers[id]).toMatchObject(
      [[1, 2], [3]].map((instruction) => ({ tokenIds: expectedTokens([pixel, ...instruction, 9], 6) })),
    );
  });
});

test('images that are there together are encoded together, never more than a batch', async () => {
  const encoder = fakeEncoder();
  await answerAll(
    encoder,
    Array.from({ length: 10 }, (_, id) => request([id + 1], [[2]])),
  );
  expect(encoder.batches.reduce((sum, size) => sum + size, 0)).toBe(10);
  expect(Math.max(...encoder.batches)).toBe(4);
});

test('a batch that cannot be encoded is tried image by image, so that one cannot take the others along', async () => {
  const encoder = fakeEncoder((images) => images.some((image) => image[0] === 9));
  const answers = await answerAll(encoder, [request([1], [[2]]), request([9], [[2], [3]]), request([3], [[2]])]);
  expect(answers[0]).toMatchObject([{ tokenIds: expectedTokens([1, 2], 6) }]);
  expect(answers[2]).toMatchObject([{ tokenIds: expectedTokens([3, 2], 6) }]);
  const error = new ImageError('internal', 'the model could not be run on this image: no memory');
  expect(answers[1]).toEqual([error, error]);
  expect(answers[1]?.[0]).toMatchObject({ code: 'internal' });
});

test('a longer prompt that comes later is not cut by the rows of those before it', async () => {
  const long = Array.from({ length: 20 }, (_, i) => 1 + (i % 10));
  const answers = await answerAll(
    fakeEncoder(),
    [request([1], [[2]]), request([2], [long], 15), request([3], [[2]])],
    2,
  );
  expect(answers[1]).toMatchObject([{ tokenIds: expectedTokens([2, ...long], 15) }]);
  expect(answers[2]).toMatchObject([{ tokenIds: expectedTokens([3, 2], 6) }]);
});

test('prompts of any length are answered by a model that has an encoder for them', async () => {
  const texts = [[2], Array.from({ length: 30 }, (_, i) => 1 + (i % 10)), [3, 4]];
  const requests = texts.map((text, id) => request([id + 1], [text], 8));
  const answers = await answerAll(fakeEncoder(), requests, 2, fakeEncoderDecoder());
  texts.forEach((text, id) => {
    expect(answers[id]).toMatchObject([{ tokenIds: expectedTokens([id + 1, ...text, START], 8) }]);
  });
});

test('a failed step ends the rows that were in it as errors, and later images are answered', async () => {
  const decoder = fakeDecoder();
  let failures = 0;
  const failsOnce = {
    ...decoder,
    step: async (...given: Parameters<typeof decoder.step>) => {
      if (failures++ === 0) throw new Error('out of memory');
      return decoder.step(...given);
    },
  };
  const answers = await answerAll(
    fakeEncoder(),
    Array.from({ length: 4 }, (_, id) => request([id + 1], [[2]])),
    2,
    failsOnce,
  );
  const ended = answers.filter((results) => results.some((result) => result instanceof ImageError));
  expect(ended.length).toBeGreaterThan(0);
  expect(ended.length).toBeLessThanOrEqual(2);
});

test('after close nothing more is computed', async () => {
  const encoder = fakeEncoder();
  const loop = new InferenceLoop(encoder, fakeDecoder(), { batchSize: 2, groupSize: 1 });
  void loop.answer(request([1], [[2]]));
  await loop.close();
  expect(encoder.batches).toEqual([]);
});

test('an idle model waits for the rest of a group while images keep coming', async () => {
  const encoder = fakeEncoder();
  const loop = new InferenceLoop(encoder, fakeDecoder(), { batchSize: 4, groupSize: 3 });
  const answers = [1, 2, 3].map(async (pixel) => {
    for (let turn = 1; turn < pixel; turn++) await new Promise(setImmediate);
    return loop.answer(request([pixel], [[2]]));
  });
  await Promise.all(answers);
  expect(encoder.batches).toEqual([3]);
});

test('an idle model does not wait for images that never come', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const encoder = fakeEncoder();
  const loop = new InferenceLoop(encoder, fakeDecoder(), { batchSize: 4, groupSize: 3 });
  const answered = loop.answer(request([1], [[2]]));
  while (vi.getTimerCount() === 0) await new Promise(setImmediate);
  expect(encoder.batches).toEqual([]);
  vi.runAllTimers();
  await answered;
  expect(encoder.batches).toEqual([1]);
});

test('closing ends the wait for a group', async () => {
  const encoder = fakeEncoder();
  const loop = new InferenceLoop(encoder, fakeDecoder(), { batchSize: 4, groupSize: 3 });
  void loop.answer(request([1], [[2]]));
  await new Promise(setImmediate);
  await loop.close();
  expect(encoder.batches).toEqual([]);
});

/** What became of each prompt of each request: tokens, or the message of the error. */
function outcomes(answers: readonly PromptResult[][]): (number[] | string)[][] {
  return answers.map((results) =>
    results.map((result) => (result instanceof ImageError ? result.message : result.tokenIds)),
  );
}

function failed(reason: string): string {
  return `the model could not be run on this image: ${reason}`;
}

function answerOf(pixel: number): number[][] {
  return [expectedTokens([pixel, 2], 6)];
}

const three = [1, 3, 5].map((pixel) => request([pixel], [[2]]));

describe('whatever fails, every request has its results:', () => {
  test('a prompt that cannot be embedded', async () => {
    const decoder = fakeDecoder();
    const answers = await answerAll(fakeEncoder(), [request([1], [[2], [9]]), request([3], [[2]])], 4, {
      ...decoder,
      embedTokens: async (ids) => {
        if (ids.includes(9)) throw new Error('no such token');
        return decoder.embedTokens(ids);
      },
    });
    expect(outcomes(answers)).toEqual([[...answerOf(1), failed('no such token')], answerOf(3)]);
  });

  test('prompts that cannot be read', async () => {
    const decoder = fakeDecoder();
    const answers = await answerAll(fakeEncoder(), three, 4, {
      ...decoder,
      prefill: async () => {
        throw new Error('out of memory');
      },
    });
    expect(outcomes(answers)).toEqual(three.map(() => [failed('out of memory')]));
  });

  // A prompt without image tokens was answered as if there were no image.
  test('image tokens that are missing', async () => {
    const encoder: ReturnType<typeof fakeEncoder> = { ...fakeEncoder(), imageTokens: async () => [] };
    const reason = failed('the image tokens of a prompt should be there, and is missing');
    expect(outcomes(await answerAll(encoder, three))).toEqual(three.map(() => [reason]));
  });

  test('image tokens of another width than the language model’s', async () => {
    const decoder = fakeDecoder();
    const wide = { ...decoder, declaration: { ...decoder.declaration, hiddenSize: 2 } };
    const reason = failed(
      'the image tokens are 1 numbers, which is no multiple of the hidden size of the language model, 2: the parts of this pack do not belong together',
    );
    expect(outcomes(await answerAll(fakeEncoder(), three, 4, wide))).toEqual(three.map(() => [reason]));
  });

  test('a batch that cannot be made, and later requests are answered', async () => {
    const decoder = fakeDecoder();
    let caches = 0;
    const loop = new InferenceLoop(
      fakeEncoder(),
      {
        ...decoder,
        newCache: (rows, maxLength) => {
          if (caches++ === 0) throw new Error('no memory for a cache');
          return decoder.newCache(rows, maxLength);
        },
      },
      { batchSize: 4, groupSize: 1 },
    );
    const answers = await Promise.all(three.map(async (one) => loop.answer(one)));
    expect(outcomes(answers)).toEqual(three.map(() => [failed('no memory for a cache')]));
    expect(outcomes([await loop.answer(request([7], [[2]]))])).toEqual([answerOf(7)]);
  });

  test('a request without prompts, which has none', async () => {
    expect(await answerAll(fakeEncoder(), [request([1], []), request([3], [[2]])])).toMatchObject([
      [],
      [{ tokenIds: answerOf(3)[0] }],
    ]);
  });

  test('a prompt that fits no batch', async () => {
    const decoder = fakeDecoder();
    const answers = await answerAll(fakeEncoder(), three, 4, { ...decoder, positionsNeeded: () => NaN });
    expect(outcomes(answers)).toEqual(three.map(() => [failed('a prompt of NaN positions and 1 rows fits no batch')]));
  });
});
