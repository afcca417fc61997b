/** The Q-Former of InstructBLIP, which reads the instruction, compared with Hugging Face transformers on a tiny checkpoint. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildVisionEncoder, readVisionConfig } from '../../src/importer/architectures/eva-vit.ts';
import { buildInstructionQFormer } from '../../src/importer/architectures/qformer.ts';
import { readQFormerConfig } from '../../src/importer/architectures/qformer-config.ts';
import { HUGGINGFACE_NAMES } from '../../src/importer/names/huggingface.ts';
import { ObjectReader } from '../../src/pack/object-reader.ts';
import type { Pack } from '../../src/pack/model-declaration.ts';
import { float32Data, int64Tensor, Session } from '../../src/runtime/session.ts';
import { ImageEncoder } from '../../src/vision/image-encoder.ts';
import type { ImageEmbeds } from '../../src/vision/image-embeds.ts';
import { largestDifference, openWeights, readTensors, rowsOf, squareOf, writePack } from './tiny-pack.ts';

const FIXTURE = join(import.meta.dirname, '../fixtures/hf-instructblip-t5-bridge');
const IMAGES = 4;
const TOLERANCE = 1e-4;
/** What padding and company in a batch may change: the order of additions, nothing else. */
const ROUNDING = 1e-5;

let pack: Pack;
let leftOver: string[];
let encoder: ImageEncoder;
let golden: (name: string) => Float32Array;
let instructions: number[][];
let imageEmbeds: ImageEmbeds;

beforeAll(async () => {
  const path = join(FIXTURE, 'model/config.json');
  const config = ObjectReader.parse(await readFile(path, 'utf8'), path);
  const visionDefaults = { imageSize: 224, layerNormEps: 1e-6, postLayerNormEps: 1e-6, mayLackPostLayernorm: false };
  const vision = readVisionConfig(config.object('vision_config'), visionDefaults);
  const qformer = readQFormerConfig(config.object('qformer_config'), vision.hiddenSize);
  const { weights, close } = await openWeights([join(FIXTURE, 'model/model.safetensors')], HUGGINGFACE_NAMES);
  pack = await writePack({ image: squareOf(vision.imageSize), bridge: 'instruction' }, (graph) => {
    buildVisionEncoder(graph('vision_encoder'), weights.at('vision_model'), vision);
    buildInstructionQFormer(graph('qformer'), weights, qformer, 8, 17, 64);
  });
  await close();
  leftOver = [...weights.leftOver.keys()];
  encoder = await ImageEncoder.load(pack, { threads: 1 });
  golden = await readTensors(join(FIXTURE, 'golden.safetensors'));
  const { prompts } = JSON.parse(await readFile(join(FIXTURE, 'golden.json'), 'utf8')) as {
    prompts: { qformerIds: number[] }[];
  };
  instructions = prompts.map(({ qformerIds }) => qformerIds);
  imageEmbeds = await encoder.embedImages(rowsOf(golden('pixel_values'), IMAGES));
});

afterAll(async () => {
  await encoder.dispose();
  await rm(pack.directory, { recursive: true });
});

test('image embeddings are those of the reference', () => {
  expect(largestDifference(imageEmbeds.data, golden('image_embeds'))).toBeLessThan(TOLERANCE);
});

test.each([0, 1, 2, 3])(
  'query output and image tokens of instruction %i are those of the reference',
  async (prompt) => {
    const pixelValues = rowsOf(golden('pixel_values'), IMAGES);
    const { queryOutput = [], imageTokens } = await encoder.encodeStages(pixelValues, instructions[prompt]);
    expect(largestDifference(queryOutput, golden(`prompt${prompt}.query_output`))).toBeLessThan(TOLERANCE);
    expect(largestDifference(imageTokens, golden(`prompt${prompt}.image_tokens`))).toBeLessThan(TOLERANCE);
  },
);

describe('pairs of images and instructions of different lengths', () => {
  // 32 pairs in two runs: every image with every instruction, then the same backwards.
  const forwards = Array.from({ length: 16 }, (_, pair) => ({ image: pair >> 2, prompt: pair & 3 }));
  const pairs = [...forwards, ...forwards.toReversed()];
  let together: Float32Array[];

  beforeAll(async () => {
    together = await encoder.imageTokens(
      imageEmbeds,
      pairs.map(({ image }) => image),
      pairs.map(({ prompt }) => instructions[prompt] ?? []),
    );
  });

  test('each have the image tokens of the reference', () => {
    expect(together).toHaveLength(pairs.length);
    for (const [index, { image, prompt }] of pairs.entries()) {
      const expected = rowsOf(golden(`prompt${prompt}.image_tokens`), IMAGES)[image] ?? [];
      const difference = largestDifference(together[index] ?? [], expected);
      expect(difference, `image ${image}, instruction ${prompt}`).toBeLessThan(TOLERANCE);
    }
  });

  test('have the same image tokens alone, without any padding', async () => {
    for (const [index, { image, prompt }] of forwards.entries()) {
      const [alone = []] = await encoder.imageTokens(imageEmbeds, [image], [instructions[prompt] ?? []]);
      expect(largestDifference(together[index] ?? [], alone)).toBeLessThan(ROUNDING);
    }
  });

  test('do not depend on what stands in the padding', async () => {
    const session = await Session.open(join(pack.directory, 'qformer.onnx'), {
      compute: { threads: 1 },
      inputs: ['image_embeds', 'image_indices', 'qformer_input_ids', 'qformer_attention_mask'],
      outputs: ['image_tokens'],
    });
    const tokensWith = async (padding: readonly number[]): Promise<Float32Array> => {
      const text = instructions[1] ?? [];
      const dims = [1, text.length + padding.length];
      const results = await session.run(
        {
          image_embeds: imageEmbeds.select([2]),
          image_indices: int64Tensor([0], [1]),
          qformer_input_ids: int64Tensor([...text, ...padding], dims),
          qformer_attention_mask: int64Tensor([...text.map(() => 1), ...padding.map(() => 0)], dims),
        },
        { image_tokens: null },
      );
      return float32Data(results, 'image_tokens');
    };
    const unpadded = await tokensWith([]);
    expect(largestDifference(await tokensWith([17, 300, 5, 430, 1, 1, 99]), unpadded)).toBeLessThan(ROUNDING);
    expect(await tokensWith([0, 0, 0])).toEqual(await tokensWith([430, 17, 5]));
    await session.dispose();
  });
});

describe('a mistake of the caller is refused:', () => {
  test('no instruction', async () => {
    await expect(encoder.imageTokens(imageEmbeds, [0])).rejects.toThrow(/reads an instruction, and was given none/);
    await expect(encoder.encode(rowsOf(golden('pixel_values'), IMAGES))).rejects.toThrow(/was given none/);
  });

  test('an empty instruction', async () => {
    await expect(encoder.imageTokens(imageEmbeds, [0], [[]])).rejects.toThrow(/at least one token/);
  });

  test('an image that is not there', async () => {
    await expect(encoder.imageTokens(imageEmbeds, [4], [[101, 102]])).rejects.toThrow(/no image 4 among 4/);
  });

  test('more images than instructions', async () => {
    await expect(encoder.imageTokens(imageEmbeds, [0, 1], [[101, 102]])).rejects.toThrow(/2 images do not pair/);
  });
});

test('of the checkpoint only the text feed-forward part of the last layer is left over, which no query sees', () => {
  const part = 'qformer.encoder.layer.3.';
  expect(leftOver.toSorted()).toEqual(
    ['intermediate.dense', 'output.LayerNorm', 'output.dense'].flatMap((name) => [
      `${part}${name}.bias`,
      `${part}${name}.weight`,
    ]),
  );
});

test('no images need no run', async () => {
  expect(await encoder.imageTokens(imageEmbeds, [], [])).toEqual([]);
});
