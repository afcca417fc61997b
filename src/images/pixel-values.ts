/**
 * The way of one image file to the numbers a model sees; what the pipeline calls.
 *
 * Decoding and resizing are two steps with pixels between them: decoders that shrink while they decode, and resizing inside libvips all
 * the way, give other pixels than the models were trained with (see `resample.ts`). Only much larger images are reduced on the way.
 */
import type { ImageDeclaration } from '../pack/model-declaration.ts';
import { ByteBudget } from './byte-budget.ts';
import { openImage, type DecodeLimits } from './decode.ts';
import { preprocessImage } from './preprocess.ts';

/** Decoded pixels held at the same time in the whole process: about 29 photographs of 12 megapixels, or one of 268. */
const decodedPixels = new ByteBudget(2 ** 30);

/**
 * Reads an image file as `pixel_values` of shape `[3, S, S]`.
 *
 * May be called for many files at once: while the decoded pixels of others fill 1 GiB, it waits. Waiting calls hold the compressed
 * file only, finished ones 12 bytes per pixel of the square.
 *
 * @param path as the system has it (see `systemPath`)
 * @throws ImageError for everything that is wrong with the file; the signal's reason when aborted.
 */
export async function loadPixelValues(
  path: string | Buffer,
  declaration: ImageDeclaration,
  limits: DecodeLimits,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const opened = await openImage(path, limits, signal);
  return decodedPixels.run(
    opened.decodedBytes,
    async () => {
      const image = await opened.decode(declaration.imageSize);
      signal?.throwIfAborted();
      return preprocessImage(image, declaration, signal);
    },
    signal,
  );
}
