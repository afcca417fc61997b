/**
 * Decoded pixels to the vision encoder's input (spec 5): resize to a square, scale, normalise, channels first.
 *
 * The numbers equal those of the reference image processor of transformers with its Pillow backend.
 */
import type { ImageDeclaration } from '../pack/model-declaration.ts';
import { resampleBicubic } from './resample.ts';
import type { RgbImage } from './rgb-image.ts';

/** Turns an image into `pixel_values` of shape `[3, S, S]`. The aspect ratio is not kept and nothing is cropped. */
export async function preprocessImage(image: RgbImage, declaration: ImageDeclaration): Promise<Float32Array> {
  const size = declaration.imageSize;
  const { data } = await resampleBicubic(image, size, size); // [S, S, 3]
  const plane = size * size;
  const pixelValues = new Float32Array(3 * plane); // [3, S, S]
  for (const channel of [0, 1, 2] as const) {
    const table = levelTable(declaration, channel);
    for (let at = 0; at < plane; at++) {
      pixelValues[channel * plane + at] = table[data[at * 3 + channel] as number] as number;
    }
  }
  return pixelValues;
}

/** The normalised value of each of the 256 levels. */
function levelTable(declaration: ImageDeclaration, channel: 0 | 1 | 2): Float32Array {
  const { rescaleFactor, imageMean, imageStd } = declaration;
  return Float32Array.from(
    { length: 256 },
    (_, level) => (level * rescaleFactor - imageMean[channel]) / imageStd[channel],
  );
}
