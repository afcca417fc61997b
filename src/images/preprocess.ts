/**
 * Decoded pixels to the vision encoder's input: resize to a square, scale, normalise, channels first.
 *
 * The numbers equal those of the reference image processor of transformers with its Pillow backend.
 */
import type { ImageDeclaration } from '../pack/model-declaration.ts';
import { resampleBicubic } from './resample.ts';
import type { RgbImage } from './rgb-image.ts';

/** The normalised value of each of the 256 levels. */
type LevelTables = { red: Float32Array; green: Float32Array; blue: Float32Array };

/**
 * Turns an image into `pixel_values` of shape `[3, S, S]`. The aspect ratio is not kept and nothing is cropped.
 *
 * @throws the signal's reason when aborted.
 */
export async function preprocessImage(
  image: RgbImage,
  declaration: ImageDeclaration,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const size = declaration.imageSize;
  const { data } = await resampleBicubic(image, size, size, signal); // [S, S, 3]
  const plane = size * size;
  const pixelValues = new Float32Array(3 * plane); // [3, S, S]
  const { red, green, blue } = levelTables(declaration);
  for (let at = 0, from = 0; at < plane; at++, from += 3) {
    pixelValues[at] = red[data[from] as number] as number;
    pixelValues[plane + at] = green[data[from + 1] as number] as number;
    pixelValues[2 * plane + at] = blue[data[from + 2] as number] as number;
  }
  return pixelValues;
}

/** A run has one declaration, and thousands of images. */
const knownTables = new WeakMap<ImageDeclaration, LevelTables>();

function levelTables(declaration: ImageDeclaration): LevelTables {
  const known = knownTables.get(declaration);
  if (known !== undefined) return known;
  const { rescaleFactor, imageMean, imageStd } = declaration;
  const table = (channel: 0 | 1 | 2): Float32Array =>
    Float32Array.from({ length: 256 }, (_, level) => (level * rescaleFactor - imageMean[channel]) / imageStd[channel]);
  const tables = { red: table(0), green: table(1), blue: table(2) };
  knownTables.set(declaration, tables);
  return tables;
}
