import { expect, test } from 'vitest';
import type { FollowUpTexts } from '../../../src/engine/answers/follow-up.ts';
import { InferenceLoop, type PromptResult, type RequestEncoder } from '../../../src/engine/answers/loop.ts';
import type { AnswerRequest } from '../../../src/engine/answers/messages.ts';
import { ImageEmbeds } from '../../../src/vision/image-embeds.ts';
import { plainDecoder } from '../../language/stop-rules.ts';
import { EOS, expectedTokens, fakeDecoder } from '../fake-decoder.ts';

function spelled(ids: readonly number[]): string {
  return ids.map((id) => String.fromCodePoint(97 + id)).join('');
}

/** Texts in which each id is a letter, and a request to go on is the ids of the answer and a 10. */
const texts: FollowUpTexts = {
  decode: spelled,
  startDecoding: () => plainDecoder(spelled),
  cleanUp: (text) => text.replaceAll('a', ''),
  conversationPrompt: (turns, question) => {
    const spoken = turns.map((turn) => `${turn.question}${turn.answer}`).join('');
    const ids = Array.from(spoken, (letter) => (letter.codePointAt(0) ?? 97) - 97);
    return { text: `${spoken}${question}`, segments: [ids, null, [10]], instruction: [ids.length] };
  },
};

/** Image tokens are the pixels, and behind them the instruction where it is read. */
function countingEncoder(readsInstruction = false): RequestEncoder & { images: number } {
  return {
    images: 0,
    readsInstruction,
    async embedImages(images) {
      this.images += images.length;
      return new ImageEmbeds(Float32Array.from(images.flatMap((image) => [...image])), [images.length, 1, 1]);
    },
    imageTokens: async (imageEmbeds, images, instructions) =>
      images.map((image, pair) => Float32Array.from([imageEmbeds.data[image] ?? 0, ...(instructions?.[pair] ?? [])])),
  };
}

/** The first prompt is the image and `text`; the conversation repeats it as letters. */
function request(pixel: number, text: number[], belowTokens: number, maxNewTokens = 6): AnswerRequest {
  const question = text.map((token) => String.fromCodePoint(97 + token)).join('');
  return {
    pixelValues: Float32Array.of(pixel),
    prompts: [{ segments: [null, text], instruction: [1], followUp: { question, request: 'more', belowTokens } }],
    options: {
      maxNewTokens,
      minNewTokens: 0,
      repetitionPenalty: 1,
      noRepeatNgram: 0,
      eosTokenIds: [EOS],
      stopSequences: [],
      score: true,
    },
  };
}

async function answerAll(
  requests: AnswerRequest[],
  { encoder = countingEncoder(), decoder = fakeDecoder(), batchSize = 4, given = texts } = {},
): Promise<PromptResult[][]> {
  const loop = new InferenceLoop(encoder, decoder, { batchSize, groupSize: 1 }, async () => given);
  return Promise.all(requests.map(async (one) => loop.answer(one)));
}

/** What the loop must write, by the definition. */
function expectedAnswer(pixel: number, text: number[], maxNewTokens = 6) {
  const first = expectedTokens([pixel, ...text], maxNewTokens);
  const turn = [...text, ...first.filter((id) => id !== 0)];
  return { tokenIds: first, continuation: { tokenIds: expectedTokens([...turn, pixel, 10], maxNewTokens) } };
}

test('a short answer is followed by a request to go on about the same image, which is encoded once', async () => {
  const encoder = countingEncoder();
  const [answered] = await answerAll([request(4, [1, 2], 80)], { encoder });
  expect(answered).toMatchObject([expectedAnswer(4, [1, 2])]);
  expect(encoder.images).toBe(1);
});

test('an answer of as many tokens as wanted stays alone', async () => {
  const { length } = expectedTokens([4, 1, 2], 6);
  const [alone] = await answerAll([request(4, [1, 2], length)]);
  expect(alone?.[0]).not.toHaveProperty('continuation');
  const [followed] = await answerAll([request(4, [1, 2], length + 1)]);
  expect(followed?.[0]).toHaveProperty('continuation');
});

test('a Q-Former that reads the instruction reads the later prompt too, of an image that is encoded once', async () => {
  const encoder = countingEncoder(true);
  const [answered] = await answerAll([request(4, [1, 2], 80)], { encoder });
  const first = expectedTokens([4, 1, 1, 2], 6);
  const turn = [1, 2, ...first.filter((id) => id !== 0)];
  expect(answered).toMatchObject([
    { tokenIds: first, continuation: { tokenIds: expectedTokens([...turn, 4, turn.length, 10], 6) } },
  ]);
  expect(encoder.images).toBe(1);
});

test('answers are the same in any batch and any order, each image encoded once', async () => {
  const ids = Array.from({ length: 30 }, (_, id) => id);
  const requests = ids.map((id) => request(1 + (id % 9), [1 + (id % 5), 1 + (id % 7)], id % 3 === 0 ? 0 : 80));
  const alone = await answerAll(requests, { batchSize: 1 });
  for (const id of ids.filter((one) => one % 3 !== 0)) {
    expect(alone[id]).toMatchObject([expectedAnswer(1 + (id % 9), [1 + (id % 5), 1 + (id % 7)])]);
  }
  for (const batchSize of [3, 16]) {
    const encoder = countingEncoder();
    const answers = await answerAll(requests.toReversed(), { batchSize, encoder });
    expect(answers.toReversed()).toEqual(alone);
    expect(encoder.images).toBe(ids.length);
  }
});

test('an answer that leaves no room for more stays as it is', async () => {
  const decoder = fakeDecoder(9);
  const [answered] = await answerAll([request(4, [1, 2, 3, 1, 2, 3], 80)], { decoder });
  expect(answered).toMatchObject([{ tokenIds: expectedTokens([4, 1, 2, 3, 1, 2, 3], 3) }]);
  expect(answered?.[0]).not.toHaveProperty('continuation');
});

test('a request to go on that fails is the failure of its image alone', async () => {
  const failing: FollowUpTexts = {
    ...texts,
    conversationPrompt: (turns, question) => {
      if (turns[0]?.question === 'dd') throw new Error('no such text');
      return texts.conversationPrompt(turns, question);
    },
  };
  const answers = await answerAll([request(4, [1, 2], 80), request(5, [3, 3], 80)], { given: failing });
  expect(answers[0]).toMatchObject([expectedAnswer(4, [1, 2])]);
  expect(answers[1]).toMatchObject([
    { code: 'internal', message: 'the model could not be run on this image: no such text' },
  ]);
});
