/**
 * Decoded pixels to the vision encoder's input (spec 5): resize to a square, scale, normalise, channels first.
 *
 * The numbers equal those of the reference image processor of transformers with its Pillow backend.
 */
import type { ImageDeclaration } from '../pack/model-declaration.ts';
import { resampleBicubic } from './resample.ts';
import type { RgbImage } from './rgb-image.ts';

type Tables = [red: Float32Array, green: Float32Array, blue: Float32Array];

/** Turns an image into `pixel_values` of shape `[3, S, S]`. The aspect ratio is not kept and nothing is cropped. */
export async function preprocessImage(image: RgbImage, declaration: ImageDeclaration): Promise<Float32Array> {
  const size = declaration.imageSize;
  const { data } = await resampleBicubic(image, size, size); // [S, S, 3]
  const plane = size * size;
  const pixelValues = new Float32Array(3 * plane); // [3, S, S]
  const [red, green, blue] = [0, 1, 2].map((channel) => levelTable(declaration, channel)) as Tables;
  for (let at = 0; at < plane; at++) {
    pixelValues[at] = red[data[at * 3] as number] as number;
    pixelValues[plane + at] = green[data[at * 3 + 1] as number] as number;
    pixelValues[2 * plane + at] = blue[data[at * 3 + 2] as number] as number;
  }
  return pixelValues;
}

/** The normalised value of each of the 256 levels. */
function levelTable(declaration: ImageDeclaration, channel: number): Float32Array {
  const { rescaleFactor, imageMean, imageStd } = declaration;
  const mean = imageMean[channel] as number;
  const std = imageStd[channel] as number;
  return Float32Array.from({ length: 256 }, (_, level) => (level * rescaleFactor - mean) / std);
}
