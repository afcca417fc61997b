/** The image encoder with a Q-Former that reads no text, and without a Q-Former. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PackError } from '../../src/errors.ts';
import { buildVisionEncoder, readVisionConfig, type VisionConfig } from '../../src/importer/architectures/eva-vit.ts';
import { buildPatchProjection } from '../../src/importer/architectures/qformer-projection.ts';
import { buildQFormer } from '../../src/importer/architectures/qformer.ts';
import { readQFormerConfig, type QFormerConfig } from '../../src/importer/architectures/qformer-config.ts';
import { HUGGINGFACE_NAMES } from '../../src/importer/names/huggingface.ts';
import { ObjectReader } from '../../src/pack/object-reader.ts';
import type { Pack } from '../../src/pack/model-declaration.ts';
import { ImageEncoder } from '../../src/vision/image-encoder.ts';
import { writeSafetensors } from '../importer/write-safetensors.ts';
import { largestDifference, openWeights, readTensors, rowsOf, squareOf, writePack } from './tiny-pack.ts';

const FIXTURE = join(import.meta.dirname, '../fixtures/hf-blip2-opt');
const SHARDS = [1, 2, 3, 4].map((n) => join(FIXTURE, `model/model-0000${n}-of-00004.safetensors`));
const TOLERANCE = 1e-4;
const ROUNDING = 1e-5;

let vision: VisionConfig;
let qformer: QFormerConfig;
let pixelValues: Float32Array[];
let golden: (name: string) => Float32Array;

beforeAll(async () => {
  const path = join(FIXTURE, 'model/config.json');
  const config = ObjectReader.parse(await readFile(path, 'utf8'), path);
  const visionDefaults = { imageSize: 224, layerNormEps: 1e-6, postLayerNormEps: 1e-6, mayLackPostLayernorm: false };
  vision = readVisionConfig(config.object('vision_config'), visionDefaults);
  qformer = readQFormerConfig(config.object('qformer_config'), vision.hiddenSize);
  golden = await readTensors(join(FIXTURE, 'golden.safetensors'));
  pixelValues = rowsOf(golden('pixel_values'), 4);
});

describe('with queries that see the image alone', () => {
  let pack: Pack;
  let encoder: ImageEncoder;

  beforeAll(async () => {
    const { weights, close } = await openWeights(SHARDS, HUGGINGFACE_NAMES);
    pack = await writePack({ image: squareOf(vision.imageSize) }, (graph) => {
      buildVisionEncoder(graph('vision_encoder'), weights.at('vision_model'), vision);
      buildQFormer(graph('qformer'), weights, qformer, 8, 17, 64);
    });
    await close();
    encoder = await ImageEncoder.load(pack, { threads: 1 });
  });

  afterAll(async () => {
    await encoder.dispose();
    await rm(pack.directory, { recursive: true });
  });

  test('every stage is that of the reference', async () => {
    const { imageEmbeds, queryOutput = [], imageTokens } = await encoder.encodeStages(pixelValues);
    expect(largestDifference(imageEmbeds, golden('image_embeds'))).toBeLessThan(TOLERANCE);
    expect(largestDifference(queryOutput, golden('query_output'))).toBeLessThan(TOLERANCE);
    expect(largestDifference(imageTokens, golden('image_tokens'))).toBeLessThan(TOLERANCE);
  });

  test('an image has the same tokens alone, in company, and asked for again', async () => {
    const expected = rowsOf(golden('image_tokens'), 4);
    const together = await encoder.encode(pixelValues);
    const imageEmbeds = await encoder.embedImages(pixelValues);
    const again = await encoder.imageTokens(imageEmbeds, [3, 1, 1, 3]);
    for (const [index, image] of [3, 1, 1, 3].entries()) {
      expect(largestDifference(again[index] ?? [], expected[image] ?? [])).toBeLessThan(TOLERANCE);
      expect(largestDifference(again[index] ?? [], together[image] ?? [])).toBeLessThan(ROUNDING);
    }
    const [alone = []] = await encoder.encode(pixelValues.slice(2, 3));
    expect(largestDifference(alone, together[2] ?? [])).toBeLessThan(ROUNDING);
  });

  test('prompts about one image share its tokens', async () => {
    const [first, second] = await encoder.imageTokens(await encoder.embedImages(pixelValues), [2, 2]);
    expect(first).toBe(second);
  });

  test('no images need no run', async () => {
    expect(await encoder.imageTokens(await encoder.embedImages(pixelValues), [])).toEqual([]);
  });

  test('an instruction is refused, since nobody would read it', async () => {
    const imageEmbeds = await encoder.embedImages(pixelValues);
    await expect(encoder.imageTokens(imageEmbeds, [0], [[101, 102]])).rejects.toThrow(/reads no instruction/);
  });

  test('a pack that says it reads the instruction and does not is refused on load', async () => {
    const wrong = { ...pack, declaration: { ...pack.declaration, bridge: 'instruction' as const } };
    await expect(ImageEncoder.load(wrong, { threads: 1 })).rejects.toThrow(PackError);
  });
});

test('without a Q-Former there are image tokens and no query output', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'minigpt-patches-'));
  const projection = join(folder, 'projection.safetensors');
  // Each image token is the sum of its four patches.
  const sum = new Float32Array(64 * 256);
  for (let n = 0; n < 64; n++) for (let patch = 0; patch < 4; patch++) sum[n * 256 + patch * 64 + n] = 1;
  await writeSafetensors(projection, {
    'language_projection.weight': { shape: [64, 256], values: sum },
    'language_projection.bias': { shape: [64], values: new Float32Array(64) },
  });
  const { weights, close } = await openWeights([...SHARDS, projection], HUGGINGFACE_NAMES);
  const pack = await writePack({ bridge: 'patches', image: squareOf(vision.imageSize) }, (graph) => {
    buildVisionEncoder(graph('vision_encoder'), weights.at('vision_model'), vision);
    buildPatchProjection(graph('qformer'), weights, 17, 64, 64);
  });
  await close();
  const encoder = await ImageEncoder.load(pack, { threads: 1 });
  const { queryOutput, imageTokens } = await encoder.encodeStages(pixelValues);
  expect(queryOutput).toBeUndefined();
  const embeds = rowsOf(golden('image_embeds'), 4 * 17);
  const expected = Array.from({ length: 4 * 4 * 64 }, (_, i) => {
    const [token, n] = [Math.floor(i / 64), i % 64];
    const firstPatch = 17 * Math.floor(token / 4) + 1 + 4 * (token % 4);
    return [0, 1, 2, 3].reduce((total, patch) => total + (embeds[firstPatch + patch]?.[n] ?? NaN), 0);
  });
  expect(largestDifference(imageTokens, expected)).toBeLessThan(4 * TOLERANCE);
  await encoder.dispose();
  await rm(folder, { recursive: true });
  await rm(pack.directory, { recursive: true });
});
