import { expect, onTestFinished, test, vi } from 'vitest';
import { InferenceLoop, type Answered, type RequestEncoder } from '../../../src/engine/answers/loop.ts';
import type { AnswerRequest } from '../../../src/engine/answers/messages.ts';
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

const request = (id: number, pixels: number[], texts: number[][], maxNewTokens = 6): AnswerRequest => ({
  id,
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
  decoder = fakeDecoder(),
): Promise<Answered[]> {
  const answers: Answered[] = [];
  await new Promise<void>((resolve) => {
    const loop = new InferenceLoop(encoder, decoder, { batchSize, groupSize: 1 }, (answered) => {
      answers.push(answered);
      if (answers.length === requests.length) resolve();
    });
    for (const one of requests) loop.add(one);
  });
  return answers.toSorted((a, b) => a.id - b.id);
}

test('every prompt of an image is answered, in order, and the image is encoded once', async () => {
  const encoder = fakeEncoder();
  const [answered] = await answerAll(encoder, [request(0, [4], [[1, 2], [3], [5, 5, 5]])]);
  expect(encoder.batches).toEqual([1]);
  expect(answered?.results).toMatchObject(
    [[1, 2], [3], [5, 5, 5]].map((text) => ({ tokenIds: expectedTokens([4, ...text], 6) })),
  );
});

test('a Q-Former that reads the instruction makes image tokens for each prompt, of images that are encoded once', async () => {
  const encoder = fakeEncoder(() => false, true);
  const asked = [4, 7].map((pixel, id) => ({
    ...request(id, [pixel], []),
    prompts: [[1, 2], [3]].map((instruction) => ({ segments: [null, [9]], instruction })),
  }));
  const answers = await answerAll(encoder, asked);
  expect(encoder.batches).toEqual([2]);
  [4, 7].forEach((pixel, id) => {
    expect(answers[id]?.results).toMatchObject(
      [[1, 2], [3]].map((instruction) => ({ tokenIds: expectedTokens([pixel, ...instruction, 9], 6) })),
    );
  });
});

test('images that are there together are encoded together, never more than a batch', async () => {
  const encoder = fakeEncoder();
  await answerAll(
    encoder,
    Array.from({ length: 10 }, (_, id) => request(id, [id + 1], [[2]])),
  );
  expect(encoder.batches.reduce((sum, size) => sum + size, 0)).toBe(10);
  expect(Math.max(...encoder.batches)).toBe(4);
});

test('a batch that cannot be encoded is tried image by image, so that one cannot take the others along', async () => {
  const encoder = fakeEncoder((images) => images.some((image) => image[0] === 9));
  const answers = await answerAll(encoder, [
    request(0, [1], [[2]]),
    request(1, [9], [[2], [3]]),
    request(2, [3], [[2]]),
  ]);
  expect(answers[0]?.results).toMatchObject([{ tokenIds: expectedTokens([1, 2], 6) }]);
  expect(answers[2]?.results).toMatchObject([{ tokenIds: expectedTokens([3, 2], 6) }]);
  const error = { code: 'internal', message: 'the model could not be run on this image: no memory' };
  expect(answers[1]?.results).toEqual([{ error }, { error }]);
});

test('a longer prompt that comes later is not cut by the rows of those before it', async () => {
  const long = Array.from({ length: 20 }, (_, i) => 1 + (i % 10));
  const answers = await answerAll(
    fakeEncoder(),
    [request(0, [1], [[2]]), request(1, [2], [long], 15), request(2, [3], [[2]])],
    2,
  );
  expect(answers[1]?.results).toMatchObject([{ tokenIds: expectedTokens([2, ...long], 15) }]);
  expect(answers[2]?.results).toMatchObject([{ tokenIds: expectedTokens([3, 2], 6) }]);
});

test('prompts of any length are answered by a model that has an encoder for them', async () => {
  const texts = [[2], Array.from({ length: 30 }, (_, i) => 1 + (i % 10)), [3, 4]];
  const requests = texts.map((text, id) => request(id, [id + 1], [text], 8));
  const answers = await answerAll(fakeEncoder(), requests, 2, fakeEncoderDecoder());
  texts.forEach((text, id) => {
    expect(answers[id]?.results).toMatchObject([{ tokenIds: expectedTokens([id + 1, ...text, START], 8) }]);
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
    Array.from({ length: 4 }, (_, id) => request(id, [id + 1], [[2]])),
    2,
    failsOnce,
  );
  const failed = answers.filter(({ results }) => results.some((result) => 'error' in result));
  expect(failed.length).toBeGreaterThan(0);
  expect(failed.length).toBeLessThanOrEqual(2);
});

test('after close nothing more is computed', async () => {
  const encoder = fakeEncoder();
  const loop = new InferenceLoop(encoder, fakeDecoder(), { batchSize: 2, groupSize: 1 }, () => {});
  loop.add(request(0, [1], [[2]]));
  await loop.close();
  expect(encoder.batches).toEqual([]);
});

test('an idle model waits for the rest of a group while images keep coming', async () => {
  const encoder = fakeEncoder();
  await new Promise<void>((resolve) => {
    let answers = 0;
    const loop = new InferenceLoop(encoder, fakeDecoder(), { batchSize: 4, groupSize: 3 }, () => {
      answers++;
      if (answers === 3) resolve();
    });
    loop.add(request(0, [1], [[2]]));
    setImmediate(() => {
      loop.add(request(1, [2], [[2]]));
      setImmediate(() => loop.add(request(2, [3], [[2]])));
    });
  });
  expect(encoder.batches).toEqual([3]);
});

test('an idle model does not wait for images that never come', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const encoder = fakeEncoder();
  const answered = new Promise<void>((resolve) => {
    const loop = new InferenceLoop(encoder, fakeDecoder(), { batchSize: 4, groupSize: 3 }, () => resolve());
    loop.add(request(0, [1], [[2]]));
  });
  while (vi.getTimerCount() === 0) await new Promise(setImmediate);
  expect(encoder.batches).toEqual([]);
  vi.runAllTimers();
  await answered;
  expect(encoder.batches).toEqual([1]);
});

test('closing ends the wait for a group', async () => {
  const encoder = fakeEncoder();
  const loop = new InferenceLoop(encoder, fakeDecoder(), { batchSize: 4, groupSize: 3 }, () => {});
  loop.add(request(0, [1], [[2]]));
  await new Promise(setImmediate);
  await loop.close();
  expect(encoder.batches).toEqual([]);
});
