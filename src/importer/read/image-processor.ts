/**
 * How the checkpoint wants its pixels: preprocessor_config.json, or `image_processor` in the processor_config.json that transformers 5 writes.
 * Keys that are left out have the defaults of the class that wrote them. Anything but the plain bicubic resize to a square is refused.
 */
import { join } from 'node:path';
import { CheckpointError } from '../../errors.ts';
import type { ImageDeclaration } from '../../pack/model-declaration.ts';
import type { ObjectReader } from '../../pack/object-reader.ts';
import type { CheckpointSource } from './checkpoint-source.ts';

/** What the originals do, which have no such file: the constants of CLIP. */
export const ORIGINAL_PREPROCESSING: Omit<ImageDeclaration, 'imageSize'> = {
  rescaleFactor: 1 / 255,
  imageMean: [0.48145466, 0.4578275, 0.40821073],
  imageStd: [0.26862954, 0.26130258, 0.27577711],
};

/** The settings of a source, not yet looked at. */
export type ImageSettings = {
  /** The file they are from. */
  path: string;
  settings: ObjectReader;
};

const PREPROCESSOR = 'preprocessor_config.json';
const PROCESSOR = 'processor_config.json';

/** Pillow's number for bicubic, and its names. */
const BICUBIC = 3;
const BICUBIC_NAME = /^(?:.*\.)?bicubic$/i;

/** The classes of BLIP, of transformers 4 and 5; they are meant where no class is named. */
const BLIP = /^Blip(?:ImageProcessor(?:Fast|Pil)?|FeatureExtractor)$/;
/** CLIP's classes crop unless they are told not to. */
const CLIP = /^CLIP(?:ImageProcessor(?:Fast|Pil)?|FeatureExtractor)$/;

/** The side that BLIP's classes have by default. */
const BLIP_SIZE = 384;

/** No mean, and no spread of samples, is larger, whatever they are scaled to. */
const MAX_SAMPLE = 65_535;

/** The image settings of a source. Where both files have some, those of processor_config.json come last and count, as in transformers 5. */
export async function readImageSettings(source: CheckpointSource): Promise<ImageSettings[]> {
  const found: ImageSettings[] = [];
  if (await source.has(PREPROCESSOR)) {
    found.push({ path: join(source.path, PREPROCESSOR), settings: await source.json(PREPROCESSOR) });
  }
  if (await source.has(PROCESSOR)) {
    const processor = await source.json(PROCESSOR);
    // transformers 4 writes the file too, with other things in it.
    if (processor.has('image_processor')) {
      found.push({ path: join(source.path, PROCESSOR), settings: processor.object('image_processor') });
    }
  }
  return found;
}

/** @throws CheckpointError when the settings ask for another preprocessing than the family's. */
export function readImageDeclaration({ settings: config, path }: ImageSettings): ImageDeclaration {
  const type = ['image_processor_type', 'feature_extractor_type'].find((key) => config.has(key));
  const className = type === undefined ? undefined : config.string(type);
  const isBlip = className === undefined || BLIP.test(className);
  /** A key that the file has, or that the class has a known default for. */
  const isGiven = (key: string): boolean => {
    if (config.has(key)) return true;
    return isBlip ? false : config.fail(key, `given, because the default of ${className} is not known`);
  };
  for (const step of ['do_resize', 'do_rescale', 'do_normalize']) {
    if (config.has(step) && !config.boolean(step)) config.fail(step, 'true');
  }
  if (isGiven('resample')) requireBicubic(config);
  const imageSize = isGiven('size') ? squareSide(config, path) : BLIP_SIZE;
  const crops = config.has('do_center_crop')
    ? config.boolean('do_center_crop')
    : className !== undefined && CLIP.test(className);
  if (crops) requireNoCut(config, imageSize);
  const { rescaleFactor, imageMean, imageStd } = ORIGINAL_PREPROCESSING;
  return {
    imageSize,
    rescaleFactor: isGiven('rescale_factor') ? readFactor(config) : rescaleFactor,
    imageMean: isGiven('image_mean') ? readSamples(config, 'image_mean', -MAX_SAMPLE) : imageMean,
    imageStd: isGiven('image_std') ? readSamples(config, 'image_std', Number.MIN_VALUE) : imageStd,
  };
}

function requireBicubic(config: ObjectReader): void {
  const expected = `${BICUBIC} (bicubic)`;
  const isBicubic = config.isString('resample')
    ? BICUBIC_NAME.test(config.string('resample'))
    : config.integer('resample') === BICUBIC;
  if (!isBicubic) config.fail('resample', expected);
}

/** `size` in each way it was ever written: a number, a list of two, or an object. */
function squareSide(config: ObjectReader, path: string): number {
  const [height, width] = sidesOf(config, 'size');
  if (height === undefined || width === undefined) {
    throw new CheckpointError(
      path,
      'size keeps the shape of an image (shortest_edge, longest_edge or max_height), but this model reads squares. If it was trained on squares of N pixels, write "size": {"height": N, "width": N}.',
    );
  }
  if (height !== width) throw new CheckpointError(path, `images should be square, but size is ${height} x ${width}.`);
  return height;
}

function sidesOf(config: ObjectReader, key: string): [number, number] | [undefined, undefined] {
  if (config.isList(key)) {
    const [height, width, ...more] = config.integers(key);
    return height === undefined || width === undefined || more.length > 0
      ? config.fail(key, 'a list of height and width')
      : [height, width];
  }
  if (config.isNumber(key)) return [config.integer(key), config.integer(key)];
  const size = config.object(key);
  const keepsShape = ['shortest_edge', 'longest_edge', 'max_height', 'max_width'].some((name) => size.has(name));
  if (keepsShape && !size.has('height')) return [undefined, undefined];
  return [size.integer('height'), size.integer('width')];
}

/** A crop to the size that the image has already changes nothing. */
function requireNoCut(config: ObjectReader, imageSize: number): void {
  const [height, width] = config.has('crop_size') ? sidesOf(config, 'crop_size') : [undefined, undefined];
  if (height !== imageSize || width !== imageSize) {
    config.fail('do_center_crop', `false, or crop_size equal to the size of ${imageSize} x ${imageSize}`);
  }
}

function readFactor(config: ObjectReader): number {
  const factor = config.number('rescale_factor');
  return factor > 0 && factor <= 1 ? factor : config.fail('rescale_factor', 'a number above 0 and at most 1');
}

function readSamples(config: ObjectReader, key: string, least: number): [number, number, number] {
  const samples = config.triple(key);
  if (samples.every((sample) => sample >= least && sample <= MAX_SAMPLE)) return samples;
  return config.fail(key, least > 0 ? 'a list of three numbers above 0' : 'a list of three numbers of ordinary size');
}
