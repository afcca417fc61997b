/** preprocessor_config.json: how the checkpoint wants its pixels. Anything but the plain bicubic resize to a square is refused. */
import { CheckpointError } from '../../errors.ts';
import type { ImageDeclaration } from '../../pack/model-declaration.ts';
import type { CheckpointSource } from './checkpoint-source.ts';

/** What the originals do, which have no such file: the constants of CLIP. */
export const ORIGINAL_PREPROCESSING: Omit<ImageDeclaration, 'imageSize'> = {
  rescaleFactor: 1 / 255,
  imageMean: [0.48145466, 0.4578275, 0.40821073],
  imageStd: [0.26862954, 0.26130258, 0.27577711],
};

/** Pillow's number for bicubic. */
const BICUBIC = 3;

/** @throws CheckpointError when the file is missing or asks for another preprocessing than the family's. */
export async function readImageDeclaration(checkpoint: CheckpointSource): Promise<ImageDeclaration> {
  const config = await checkpoint.json('preprocessor_config.json');
  for (const step of ['do_resize', 'do_rescale', 'do_normalize']) {
    if (config.has(step) && !config.boolean(step)) config.fail(step, 'true');
  }
  if (config.has('do_center_crop') && config.boolean('do_center_crop')) config.fail('do_center_crop', 'false');
  if (config.integer('resample') !== BICUBIC) config.fail('resample', `${BICUBIC} (bicubic)`);
  const size = config.object('size');
  const height = size.integer('height');
  const width = size.integer('width');
  if (height !== width)
    throw new CheckpointError(checkpoint.path, `images should be square, but size is ${width} x ${height}.`);
  return {
    imageSize: height,
    rescaleFactor: config.number('rescale_factor'),
    imageMean: config.triple('image_mean'),
    imageStd: config.triple('image_std'),
  };
}
