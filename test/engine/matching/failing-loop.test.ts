/** Whatever fails in the loop that matches, each request is answered or rejected. */
import { expect, test } from 'vitest';
import { MatchingLoop, type MatchingGraphs } from '../../../src/engine/matching/loop.ts';
import type { MatchRequest, MatchResult } from '../../../src/engine/matching/messages.ts';
import { ImageError } from '../../../src/errors.ts';
import { ImageEmbeds } from '../../../src/vision/image-embeds.ts';

/** Graphs in which an image is one number, its feature too, and its score with a text of id `t` is that number and `t`. */
const GRAPHS: MatchingGraphs = {
  encoder: {
    embedImages: async (pixelValues) =>
      new ImageEmbeds(
        Float32Array.from(pixelValues, ([pixel = NaN]) => pixel),
        [pixelValues.length, 1, 1],
      ),
  },
  matcher: {
    imageFeatures: async ({ data }) => Array.from(data, (feature) => Float32Array.of(feature)),
    matchLogits: async ({ data }, images, texts) =>
      images.map((image, pair) => [data[image] ?? NaN, texts[pair]?.[0] ?? NaN] as const),
  },
};

const TEXTS = [
  { ids: [7], features: Float32Array.of(2) },
  { ids: [9], features: Float32Array.of(3) },
];

const request = (image: number, changes: Partial<MatchRequest> = {}): MatchRequest => ({
  image,
  pixelValues: Float32Array.of(image),
  similarities: true,
  keep: false,
  texts: [0, 1],
  ...changes,
});

/** What a request gets where nothing fails. */
const resultOf = (image: number): MatchResult => ({
  similarities: [2 * image, 3 * image],
  logits: [
    [image, 7],
    [image, 9],
  ],
  kept: false,
});

async function outcomes(graphs: MatchingGraphs, requests: readonly MatchRequest[]): Promise<(MatchResult | string)[]> {
  const loop = new MatchingLoop(graphs, TEXTS, { batchSize: 4, keptBytes: 100 });
  return Promise.all(
    requests.map(async (one) => {
      try {
        return await loop.answer(one);
      } catch (error) {
        if (error instanceof ImageError) return error.message;
        throw error;
      }
    }),
  );
}

const failed = (reason: string): string => `the model could not be run on this image: ${reason}`;
const images = [1, 2, 3];
const three = images.map((image) => request(image));

test('nothing fails: every request has its result', async () => {
  expect(await outcomes(GRAPHS, three)).toEqual(images.map(resultOf));
});

test('an image that cannot be embedded fails alone', async () => {
  const encoder = {
    embedImages: async (pixelValues: readonly Float32Array[]) => {
      if (pixelValues.some(([pixel]) => pixel === 2)) throw new Error('out of memory\nat some place');
      return GRAPHS.encoder.embedImages(pixelValues);
    },
  };
  expect(await outcomes({ ...GRAPHS, encoder }, three)).toEqual([resultOf(1), failed('out of memory'), resultOf(3)]);
});

test('features that are missing are an error', async () => {
  const matcher = { ...GRAPHS.matcher, imageFeatures: async () => [] };
  const reason = failed('the features of an image should be there, and is missing');
  expect(await outcomes({ ...GRAPHS, matcher }, three)).toEqual([reason, reason, reason]);
});

// Scores that were missing were left out, and those behind them went to other texts.
test('scores that are missing are an error', async () => {
  const matcher: MatchingGraphs['matcher'] = {
    ...GRAPHS.matcher,
    matchLogits: async (...given) => (await GRAPHS.matcher.matchLogits(...given)).slice(1),
  };
  const reason = failed('the matching score of a pair should be there, and is missing');
  expect(await outcomes({ ...GRAPHS, matcher }, three)).toEqual([reason, reason, reason]);
});

test('a text that the model was not loaded with is an error', async () => {
  const requests = [request(1), request(2, { texts: [5] })];
  expect(await outcomes(GRAPHS, requests)).toEqual([
    resultOf(1),
    failed('a text that is matched should be there, and is missing'),
  ]);
});
