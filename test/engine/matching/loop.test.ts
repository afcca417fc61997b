/** Matching in the thread's loop, on tiny checkpoints; the references are Hugging Face transformers and LAVIS. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MatchingLoop, type MatchedText, type MatchingGraphs } from '../../../src/engine/matching/loop.ts';
import type { MatchRequest, MatchResult } from '../../../src/engine/matching/messages.ts';
import { ImageError } from '../../../src/errors.ts';
import type { Pack } from '../../../src/pack/model-declaration.ts';
import { Matcher, matchProbability } from '../../../src/vision/matcher.ts';
import { VisionEncoder } from '../../../src/vision/vision-encoder.ts';
import { Deferred } from '../../pipeline/deferred.ts';
import { largestDifference, readTensors, rowsOf } from '../../vision/tiny-pack.ts';
import { importMatchingPack } from './matching-pack.ts';

const FIXTURES = join(import.meta.dirname, '../../fixtures');
const TOLERANCE = 1e-4;
/** What company in a batch may change: the order of additions, nothing else. */
const ROUNDING = 1e-5;
const ROOM = 2 ** 20;

let encodedBatches: number[];

/** The graphs, counting the images that are embedded. */
function counting({ encoder, matcher }: { encoder: VisionEncoder; matcher: Matcher }): MatchingGraphs {
  return {
    matcher,
    encoder: {
      embedImages: async (pixelValues) => {
        encodedBatches.push(pixelValues.length);
        return encoder.embedImages(pixelValues);
      },
    },
  };
}

/** Sends requests at once and waits for what becomes of all, in their order. */
async function ask(loop: MatchingLoop, requests: readonly MatchRequest[]): Promise<(MatchResult | ImageError)[]> {
  return Promise.all(
    requests.map(async (request) => {
      try {
        return await loop.answer(request);
      } catch (error) {
        if (error instanceof ImageError) return error;
        throw error;
      }
    }),
  );
}

/** The texts of a second look. */
const AGAIN = [2, 0];

/** A second look at an image that was kept. */
const again = (image: number): MatchRequest => ({
  image,
  pixelValues: undefined,
  similarities: false,
  keep: false,
  texts: AGAIN,
});

function resultOf(result: MatchResult | ImageError | undefined): MatchResult {
  if (result === undefined || result instanceof ImageError) throw new Error(`no result, but ${String(result)}`);
  return result;
}

describe.each([
  ['Hugging Face', 'hf-blip2-itm'],
  ['LAVIS', 'lavis-blip2-qformer'],
] as const)('a checkpoint of %s:', (_, fixture) => {
  let pack: Pack;
  let graphs: { encoder: VisionEncoder; matcher: Matcher };
  let texts: MatchedText[];
  let golden: (name: string) => Float32Array;
  let pixels: Float32Array[];

  beforeAll(async () => {
    pack = await importMatchingPack(fixture);
    graphs = {
      encoder: await VisionEncoder.load(pack, { threads: 1 }),
      matcher: await Matcher.load(pack, { threads: 1 }),
    };
    golden = await readTensors(join(FIXTURES, fixture, 'golden.safetensors'));
    const record = JSON.parse(await readFile(join(FIXTURES, fixture, 'golden.json'), 'utf8')) as {
      images: string[];
      texts: { ids: number[] }[];
    };
    const ids = record.texts.map((text) => text.ids);
    const features = await graphs.matcher.textFeatures(ids);
    texts = ids.map((text, index) => ({ ids: text, features: features[index] ?? new Float32Array() }));
    pixels = rowsOf(golden('pixel_values'), record.images.length);
  });

  afterAll(async () => {
    await graphs.encoder.dispose();
    await graphs.matcher.dispose();
    await rm(pack.directory, { recursive: true });
  });

  const newLoop = (batchSize = 8, keptBytes = ROOM) =>
    new MatchingLoop(counting(graphs), texts, { batchSize, keptBytes });

  const everything = (image: number): MatchRequest => ({
    image,
    pixelValues: pixels[image],
    similarities: true,
    keep: false,
    texts: [...texts.keys()],
  });

  test('similarities and probabilities of every image and text are those of the reference, each image embedded once', async () => {
    encodedBatches = [];
    const results = (
      await ask(
        newLoop(),
        pixels.map((__, image) => everything(image)),
      )
    ).map(resultOf);
    expect(encodedBatches).toEqual([pixels.length]);
    const similarities = results.flatMap((result) => result.similarities);
    const logits = results.flatMap((result) => result.logits.flat());
    const probabilities = results.flatMap((result) => result.logits.map(matchProbability));
    expect(largestDifference(similarities, golden('itc'))).toBeLessThan(TOLERANCE);
    expect(largestDifference(logits, golden('itm_logits'))).toBeLessThan(TOLERANCE);
    expect(largestDifference(probabilities, golden('itm_probability'))).toBeLessThan(TOLERANCE);
  });

  test('an image has the same scores alone and in any company, order and size of batch', async () => {
    const alone: MatchResult[] = [];
    for (const image of pixels.keys()) {
      const [result] = await ask(newLoop(1), [everything(image)]);
      alone.push(resultOf(result));
    }
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(pixels.length - 1), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 4 }),
        async (images, batchSize) => {
          const requests = images.map((image) => everything(image));
          const results = (await ask(newLoop(batchSize), requests)).map(resultOf);
          for (const [index, image] of images.entries()) {
            const [received, expected] = [results[index], alone[image]];
            expect(largestDifference(received?.similarities ?? [], expected?.similarities ?? [])).toBeLessThan(
              ROUNDING,
            );
            expect(largestDifference(received?.logits.flat() ?? [], expected?.logits.flat() ?? [])).toBeLessThan(
              ROUNDING,
            );
          }
        },
      ),
      { numRuns: 10 },
    );
  });

  test('kept embeddings are scored without being computed again, as long as they are not forgotten', async () => {
    encodedBatches = [];
    const loop = newLoop();
    const first = [0, 1].map((image) => ({ ...everything(image), keep: true, texts: [] }));
    const kept = await ask(loop, first);
    expect(kept.map(resultOf)).toMatchObject([
      { kept: true, logits: [] },
      { kept: true, logits: [] },
    ]);
    const [one, zero] = (await ask(loop, [again(1), again(0)])).map(resultOf);
    const logits = golden('itm_logits');
    const expected = (image: number): number[] =>
      AGAIN.flatMap((text) => {
        const pair = image * texts.length + text;
        return [logits[2 * pair] ?? NaN, logits[2 * pair + 1] ?? NaN];
      });
    expect(largestDifference(one?.logits.flat() ?? [], expected(1))).toBeLessThan(TOLERANCE);
    expect(largestDifference(zero?.logits.flat() ?? [], expected(0))).toBeLessThan(TOLERANCE);
    expect(encodedBatches).toEqual([2]);

    loop.forget([1]);
    const [forgotten, still] = await ask(loop, [again(1), again(0)]);
    expect(forgotten).toMatchObject({ code: 'internal' });
    expect(resultOf(still).logits).toHaveLength(AGAIN.length);
    await loop.close();
  });

  test('what has no room is not kept, and said so', async () => {
    const bytesOfOne = golden('image_embeds').byteLength / pixels.length;
    const results = await ask(
      newLoop(8, 1.5 * bytesOfOne),
      [0, 1].map((image) => ({ ...everything(image), keep: true, texts: [] })),
    );
    expect(results.map((result) => resultOf(result).kept)).toEqual([true, false]);
  });

  test('an image that the graphs refuse fails alone', async () => {
    const broken = { ...everything(1), pixelValues: new Float32Array(1e6) };
    const [good, bad, other] = await ask(newLoop(), [everything(0), broken, everything(2)]);
    expect(bad).toMatchObject({ code: 'internal', message: expect.stringContaining('could not be run') });
    expect(largestDifference(resultOf(good).similarities, golden('itc').slice(0, texts.length))).toBeLessThan(
      TOLERANCE,
    );
    expect(resultOf(other).logits).toHaveLength(texts.length);
  });

  test('closing stops it between two runs of a graph, and what is open stays unanswered', async () => {
    const answers: MatchResult[] = [];
    let pairs = 0;
    const matcher: MatchingGraphs['matcher'] = {
      imageFeatures: async (embeds) => graphs.matcher.imageFeatures(embeds),
      matchLogits: async (embeds, images, ids) => {
        pairs += images.length;
        begun.resolve();
        return graphs.matcher.matchLogits(embeds, images, ids);
      },
    };
    const begun = new Deferred<void>();
    const many = Array.from({ length: 200 }, (__, index) => texts[index % texts.length] as MatchedText);
    const sizes = { batchSize: 1, keptBytes: ROOM };
    const loop = new MatchingLoop({ ...graphs, matcher }, many, sizes);
    for (const image of [0, 1])
      void loop.answer({ ...everything(image), texts: [...many.keys()] }).then((result) => answers.push(result));
    await begun.promise;
    await loop.close();
    expect(pairs).toBeLessThan(many.length);
    expect(answers).toEqual([]);
  });
});

test("the sum of both scores is that of LAVIS' re-ranking", async () => {
  const pack = await importMatchingPack('lavis-blip2-qformer');
  const folder = join(FIXTURES, 'lavis-blip2-qformer');
  const reference = await readTensors(join(folder, 'reference.safetensors'));
  const { texts } = JSON.parse(await readFile(join(folder, 'golden.json'), 'utf8')) as { texts: { ids: number[] }[] };
  const encoder = await VisionEncoder.load(pack, { threads: 1 });
  const matcher = await Matcher.load(pack, { threads: 1 });
  const features = await matcher.textFeatures(texts.map(({ ids }) => ids));
  const matched = texts.map(({ ids }, index) => ({ ids, features: features[index] ?? new Float32Array() }));
  const requests = rowsOf(reference('pixel_values'), 3).map((pixelValues, image) => ({
    image,
    pixelValues,
    similarities: true,
    keep: false,
    texts: [0, 1, 2],
  }));
  const results = await ask(new MatchingLoop({ encoder, matcher }, matched, { batchSize: 3, keptBytes: 0 }), requests);
  const sums = results
    .map(resultOf)
    .flatMap(({ similarities, logits }) => similarities.map((itc, text) => itc + (logits[text]?.[1] ?? NaN)));
  expect(largestDifference(sums, reference('rerank.score_i2t'))).toBeLessThan(TOLERANCE);
  await encoder.dispose();
  await matcher.dispose();
  await rm(pack.directory, { recursive: true });
});
