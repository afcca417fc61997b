/** preprocessor_config.json: how the checkpoint wants its pixels (spec 5). Anything but the plain bicubic resize to a square is refused. */
import { CheckpointError } from '../../errors.ts';
import type { ImageDeclaration } from '../../pack/model-declaration.ts';
import type { CheckpointFolder } from './checkpoint-folder.ts';

/** Pillow's number for bicubic. */
const BICUBIC = 3;

/** @throws CheckpointError when the file is missing or asks for another preprocessing than the family's. */
export async function readImageDeclaration(checkpoint: CheckpointFolder): Promise<ImageDeclaration> {
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
    throw new CheckpointError(checkpoint.directory, `images should be square, but size is ${width} x ${height}.`);
  return {
    imageSize: height,
    rescaleFactor: config.number('rescale_factor'),
    imageMean: config.triple('image_mean'),
    imageStd: config.triple('image_std'),
  };
}
