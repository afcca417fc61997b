/** Matching of images with texts, compared with Hugging Face transformers and with LAVIS on tiny checkpoints. */
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { joinParts, type ImageEmbeds } from '../../src/vision/image-embeds.ts';
import { Matcher, matchProbability, similarity } from '../../src/vision/matcher.ts';
import { VisionEncoder } from '../../src/vision/vision-encoder.ts';
import { buildFirstStagePack, type FirstStagePack } from './first-stage-pack.ts';
import { largestDifference, readTensors, rowsOf } from './tiny-pack.ts';

const TOLERANCE = 1e-4;
/** What padding and company in a batch may change: the order of additions, nothing else. */
const ROUNDING = 1e-5;

const MATCHING_GRAPHS = ['vision_encoder', 'itc_image', 'itc_text', 'itm'];

describe.each([
  ['Hugging Face', 'hf-blip2-itm', MATCHING_GRAPHS],
  ['LAVIS', 'lavis-blip2-qformer', [...MATCHING_GRAPHS, 'itg_prefix', 'embed_tokens', 'itg_decoder']],
] as const)('a checkpoint of %s:', (_, fixtureName, expectedGraphs) => {
  let built: FirstStagePack;
  let visionEncoder: VisionEncoder;
  let matcher: Matcher;
  let golden: (name: string) => Float32Array;
  let images: number;
  let texts: number[][];
  let imageEmbeds: ImageEmbeds;
  /** Every image with every text. */
  let pairs: { image: number; text: number }[];

  beforeAll(async () => {
    built = await buildFirstStagePack(fixtureName);
    visionEncoder = await VisionEncoder.load(built.pack, { threads: 1 });
    matcher = await Matcher.load(built.pack, { threads: 1 });
    golden = await readTensors(join(built.fixture, 'golden.safetensors'));
    const record = JSON.parse(await readFile(join(built.fixture, 'golden.json'), 'utf8')) as {
      images: string[];
      texts: { ids: number[] }[];
    };
    images = record.images.length;
    texts = record.texts.map(({ ids }) => ids);
    imageEmbeds = await visionEncoder.embedImages(rowsOf(golden('pixel_values'), images));
    pairs = Array.from({ length: images * texts.length }, (__, pair) => ({
      image: Math.floor(pair / texts.length),
      text: pair % texts.length,
    }));
  });

  afterAll(async () => {
    await matcher.dispose();
    await visionEncoder.dispose();
    await rm(built.pack.directory, { recursive: true });
  });

  async function logitsOf(some: typeof pairs): Promise<number[]> {
    const scores = await matcher.matchLogits(
      imageEmbeds,
      some.map(({ image }) => image),
      some.map(({ text }) => texts[text] ?? []),
    );
    return scores.flat();
  }

  test('it gives the graphs it has weights for, and leaves none of the Q-Former over', () => {
    expect(built.graphs).toEqual(expectedGraphs);
    expect(built.leftOver.filter((name) => !name.startsWith('vision_model.'))).toEqual([]);
  });

  test('graphs that share weights store them once', async () => {
    let stored = 0;
    for (const { size } of await Promise.all(dataFiles().map((path) => stat(path)))) stored += size;
    expect(stored).toBeGreaterThanOrEqual(built.takenBytes);
    // Small tensors begin at multiples of 64 bytes.
    expect(stored).toBeLessThan(1.05 * built.takenBytes);
  });

  /** Files of weights; a graph that only uses those of others has none. */
  function dataFiles(): string[] {
    const withOwnWeights = built.graphs.filter((name) => !['itg_prefix', 'embed_tokens'].includes(name));
    return withOwnWeights.map((name) => join(built.pack.directory, `${name}.onnx.data`));
  }

  test('image embeddings are those of the reference', () => {
    expect(largestDifference(imageEmbeds.data, golden('image_embeds'))).toBeLessThan(TOLERANCE);
  });

  test('contrastive features and their similarity are those of the reference', async () => {
    const ofImages = await matcher.imageFeatures(imageEmbeds);
    const ofTexts = await matcher.textFeatures(texts);
    expect(largestDifference(joinParts(ofImages), golden('itc_image'))).toBeLessThan(TOLERANCE);
    expect(largestDifference(joinParts(ofTexts), golden('itc_text'))).toBeLessThan(TOLERANCE);
    const similarities = ofImages.flatMap((image) => ofTexts.map((text) => similarity(image, text)));
    expect(largestDifference(similarities, golden('itc'))).toBeLessThan(TOLERANCE);
  });

  test('every image with every text has the logits and the probability of the reference', async () => {
    const logits = await logitsOf(pairs);
    expect(largestDifference(logits, golden('itm_logits'))).toBeLessThan(TOLERANCE);
    const probabilities = pairs.map((__, pair) =>
      matchProbability([logits[2 * pair] ?? NaN, logits[2 * pair + 1] ?? NaN]),
    );
    expect(largestDifference(probabilities, golden('itm_probability'))).toBeLessThan(TOLERANCE);
  });

  test('a pair has the same logits alone and in any company and order', async () => {
    const together = await logitsOf(pairs);
    const backwards = await logitsOf(pairs.toReversed());
    for (const [index, pair] of pairs.entries()) {
      const expected = together.slice(2 * index, 2 * index + 2);
      const reversed = 2 * (pairs.length - 1 - index);
      expect(largestDifference(await logitsOf([pair]), expected)).toBeLessThan(ROUNDING);
      expect(largestDifference(backwards.slice(reversed, reversed + 2), expected)).toBeLessThan(ROUNDING);
    }
  });

  test('texts and images have the same features alone and in company', async () => {
    const ofTexts = await matcher.textFeatures(texts);
    for (const [index, text] of texts.entries()) {
      const [alone = []] = await matcher.textFeatures([text]);
      expect(largestDifference(alone, ofTexts[index] ?? [])).toBeLessThan(ROUNDING);
    }
    const ofImages = await matcher.imageFeatures(imageEmbeds);
    for (const [index, pixelValues] of rowsOf(golden('pixel_values'), images).entries()) {
      const [alone = []] = await matcher.imageFeatures(await visionEncoder.embedImages([pixelValues]));
      expect(largestDifference(alone, ofImages[index] ?? [])).toBeLessThan(ROUNDING);
    }
  });

  test('more texts than one run takes come back in their order', async () => {
    const order = Array.from({ length: 70 }, (__, index) => (index * 7 + 1) % texts.length);
    const features = await matcher.textFeatures(order.map((text) => texts[text] ?? []));
    const once = await matcher.textFeatures(texts);
    expect(features).toHaveLength(70);
    for (const [index, text] of order.entries())
      expect(largestDifference(features[index] ?? [], once[text] ?? [])).toBeLessThan(ROUNDING);
  });

  // The record of Hugging Face does not hold them.
  if (fixtureName === 'lavis-blip2-qformer') {
    test('the queries behind the image features are those of the reference', async () => {
      const { queryOutput, imageFeatures } = await matcher.imageStages(imageEmbeds);
      expect(largestDifference(queryOutput, golden('query_output'))).toBeLessThan(TOLERANCE);
      expect(largestDifference(imageFeatures, golden('itc_image'))).toBeLessThan(TOLERANCE);
    });
  }
});
