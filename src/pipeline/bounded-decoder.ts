/**
 * Image files to pixels, so many at a time. A decoder keeps its slot until the model has room for its pixels, so decoding never runs ahead of
 * the model by more than `decoders` images.
 */
import { performance } from 'node:perf_hooks';
import { systemPath, type ImageFile } from '../images/image-file.ts';
import type { ImageWarning } from '../images/rgb-image.ts';
import type { ImageDeclaration } from '../pack/model-declaration.ts';
import { Slots } from './slots.ts';

/** What one image may have, and may take. */
export type DecodingLimits = { maxPixels: number; decodeSeconds: number };

/** Reads one image file, named as records name it, and makes it the model's input. @throws ImageError */
export type PixelSource = (
  path: string,
  image: ImageDeclaration,
  limits: DecodingLimits & { warn: (warning: ImageWarning) => void },
  signal: AbortSignal,
) => Promise<Float32Array>;

/** Decodes real files. The decoder is a large library, loaded when the first image needs it. */
export const decodeFile: PixelSource = async (path, image, limits, signal) => {
  const { loadPixelValues } = await import('../images/pixel-values.ts');
  return loadPixelValues(systemPath(path), image, limits, signal);
};

/** An image that the model has a place for. Who takes it gives the place back, whatever happens. */
export type DecodedImage = {
  pixelValues: Float32Array;
  /** What is wrong with it all the same. */
  warnings: readonly ImageWarning[];
  /** When its file began to be read, in ms. */
  started: number;
  giveModelSlot: () => void;
};

/** @param slots the places in the model, once it is loaded; what keeps it from loading is thrown for each image */
export function boundedDecoder(
  source: { pixels: PixelSource; image: ImageDeclaration },
  settings: DecodingLimits & { decoders: number },
  slots: Promise<Slots>,
): (file: ImageFile, signal: AbortSignal) => Promise<DecodedImage> {
  const decoders = new Slots(settings.decoders);
  // Each image that waits for a slot throws this failure; this is for the case that none does.
  slots.catch(() => undefined);
  return async (file, signal) => {
    const giveDecoder = await decoders.take();
    try {
      signal.throwIfAborted();
      const started = performance.now();
      const { maxPixels, decodeSeconds } = settings;
      const warnings: ImageWarning[] = [];
      const limits = { maxPixels, decodeSeconds, warn: (warning: ImageWarning) => void warnings.push(warning) };
      const pixelValues = await source.pixels(file.path, source.image, limits, signal);
      return { pixelValues, warnings, started, giveModelSlot: await (await slots).take() };
    } finally {
      giveDecoder();
    }
  };
}
