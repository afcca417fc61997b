/** Image settings in each form in which transformers 4 and 5 write them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CheckpointSource } from '../../../src/importer/read/checkpoint-source.ts';
import { readImageDeclaration, readImageSettings } from '../../../src/importer/read/image-processor.ts';
import type { ImageDeclaration } from '../../../src/pack/model-declaration.ts';

const CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073];
const CLIP_STD = [0.26862954, 0.26130258, 0.27577711];
const PLAIN = { imageSize: 224, rescaleFactor: 1 / 255, imageMean: CLIP_MEAN, imageStd: CLIP_STD };
const SQUARE = { height: 224, width: 224 };

/** What transformers 4.56 writes for its fast processors: every key it knows, most of them null. */
const FAST = {
  crop_size: null,
  data_format: 'channels_first',
  default_to_square: true,
  device: null,
  disable_grouping: null,
  do_center_crop: null,
  do_convert_rgb: true,
  do_normalize: true,
  do_pad: null,
  do_rescale: true,
  do_resize: true,
  image_mean: CLIP_MEAN,
  image_processor_type: 'BlipImageProcessorFast',
  image_std: CLIP_STD,
  input_data_format: null,
  resample: 3,
  rescale_factor: 1 / 255,
  return_tensors: null,
  size: { height: 224, width: 224, shortest_edge: null, longest_edge: null },
};

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-image-settings-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** What a folder with these files declares; undefined where it has no image settings. */
async function declared(files: Record<string, unknown>): Promise<ImageDeclaration | undefined> {
  for (const [name, json] of Object.entries(files)) await writeFile(join(folder, name), JSON.stringify(json));
  const source = await CheckpointSource.open(folder);
  const settings = (await readImageSettings(source)).at(-1);
  return settings && readImageDeclaration(settings);
}

const preprocessor = async (json: unknown) => declared({ 'preprocessor_config.json': json });

describe('read are', () => {
  test.each<[string, unknown]>([
    ['all keys with nulls, as a fast processor has them', FAST],
    ['only a size, the rest by default', { size: SQUARE }],
    ['a size that is one number', { size: 224 }],
    ['a size that is a list', { size: [224, 224] }],
    ['a crop that is switched off', { size: SQUARE, crop_size: { height: 200, width: 200 }, do_center_crop: false }],
    ['a crop to the size that the image has already', { size: SQUARE, crop_size: 224, do_center_crop: true }],
    ['the resize by its name', { size: SQUARE, resample: 'bicubic' }],
    ['the class of transformers 5', { size: SQUARE, image_processor_type: 'BlipImageProcessorPil' }],
    [
      'another class that says everything',
      { ...FAST, image_processor_type: 'CLIPImageProcessor', do_center_crop: false },
    ],
  ])('%s', async (_, json) => {
    expect(await preprocessor(json)).toEqual(PLAIN);
  });

  test("the size of BLIP's class where none is given", async () => {
    expect(await preprocessor({})).toEqual({ ...PLAIN, imageSize: 384 });
  });

  test('settings inside processor_config.json, before those of preprocessor_config.json', async () => {
    const files = {
      'preprocessor_config.json': { size: 100 },
      'processor_config.json': {
        image_processor: { size: SQUARE },
        num_query_tokens: 32,
        processor_class: 'Blip2Processor',
      },
    };
    expect(await declared(files)).toEqual(PLAIN);
  });

  test('those of preprocessor_config.json where processor_config.json is of transformers 4', async () => {
    const files = {
      'preprocessor_config.json': { size: 224 },
      'processor_config.json': { image_processor: null, num_query_tokens: 32 },
    };
    expect(await declared(files)).toEqual(PLAIN);
  });

  test('none where neither file has any', async () => {
    expect(await declared({ 'processor_config.json': { num_query_tokens: 32 }, 'vocab.txt': '' })).toBeUndefined();
  });
});

describe('refused are', () => {
  test.each<[string, unknown, RegExp]>([
    [
      'a size that keeps the shape',
      { size: { shortest_edge: 224 } },
      /size keeps the shape of an image.*write "size": \{/,
    ],
    ['an oblong', { size: { height: 224, width: 196 } }, /images should be square, but size is 224 x 196/],
    ['a size without a width', { size: { height: 224 } }, /size\.width should be a whole number/],
    [
      'a crop',
      { size: SQUARE, do_center_crop: true },
      /do_center_crop should be false, or crop_size equal to the size of 224/,
    ],
    ['a crop of a larger image', { size: 256, crop_size: 224, do_center_crop: true }, /do_center_crop should be false/],
    [
      'a class that crops by default',
      { image_processor_type: 'CLIPFeatureExtractor', size: 224, resample: 3 },
      /do_center_crop should be false/,
    ],
    [
      'a class whose defaults nobody knows',
      { image_processor_type: 'ViTImageProcessor' },
      /resample should be given, because the default of ViTImageProcessor/,
    ],
    ['another resize', { size: SQUARE, resample: 2 }, /resample should be 3 \(bicubic\) but is 2/],
    [
      'another resize by its name',
      { size: SQUARE, resample: 'lanczos' },
      /resample should be 3 \(bicubic\) but is "lanczos"/,
    ],
    ['no resize', { size: SQUARE, do_resize: false }, /do_resize should be true/],
    ['a factor of nothing', { size: SQUARE, rescale_factor: 0 }, /rescale_factor should be a number above 0/],
    [
      'a spread of nothing',
      { size: SQUARE, image_std: [0.2, 0, 0.2] },
      /image_std should be a list of three numbers above 0/,
    ],
    ['a mean beyond any sample', { size: SQUARE, image_mean: [1e30, 0, 0] }, /image_mean should be/],
    ['one mean for all', { size: SQUARE, image_mean: 0.5 }, /image_mean should be a list of three numbers but is 0\.5/],
  ])('%s', async (_, json, message) => {
    await expect(preprocessor(json)).rejects.toThrow(message);
  });

  test('the same inside processor_config.json, with the place named', async () => {
    const settings = { image_processor: { size: SQUARE, resample: 2 } };
    await expect(declared({ 'processor_config.json': settings })).rejects.toThrow(
      /processor_config\.json: image_processor\.resample should be 3/,
    );
  });
});
