/** Bytes of a known kind to pixels, in this process. What is dangerous or slow runs in another (see `decode.ts`), through the same function. */
import { ImageError } from '../errors.ts';
import { explainDecodeFailure, refuseLarge } from './decode-failure.ts';
import { endsEarly } from './kinds/early-end.ts';
import { KIND, type ImageKind } from './kinds/kinds.ts';
import { readBmp } from './readers/bmp.ts';
import { readHeic } from './readers/heic.ts';
import { readIcon } from './readers/icon.ts';
import { isHarmless } from './readers/jpeg-warnings.ts';
import { readJpegXl } from './readers/jpeg-xl.ts';
import { svgText } from './readers/svg-text.ts';
import { openSvg } from './readers/svg.ts';
import { vipsPixels, type PixelRequest } from './readers/vips-pixels.ts';
import { openVips, type VipsSource } from './readers/vips-source.ts';
import type { DecodedImage, RgbImage } from './rgb-image.ts';

export type DecodeRequest = PixelRequest & { maxPixels: number };

/**
 * Decodes the first frame or page.
 *
 * No other image may be decoded in this process at the same time where a damaged JPEG is to be told from a sound one with a harmless flaw: libvips
 * collects what it says of all of them in one place.
 *
 * @throws ImageError for everything that is wrong with the file.
 */
export async function decodeBytes(kind: ImageKind, bytes: Buffer, request: DecodeRequest): Promise<DecodedImage> {
  try {
    const source = await open(kind, bytes, request);
    const { width, height } = source.header;
    const tooLarge = refuseLarge(width, height, request.maxPixels);
    if (tooLarge !== undefined) throw tooLarge;
    if (kind === KIND.jpeg) return await decodeJpeg(source, request);
    return { ...(await vipsPixels(source, request)), warnings: [] };
  } catch (error) {
    throw asImageError(kind, bytes, error);
  }
}

/** An error of any decoder in the words of the file. */
export function asImageError(kind: ImageKind, bytes: Uint8Array, error: unknown): ImageError {
  return error instanceof ImageError ? error : explainDecodeFailure(kind, bytes, error);
}

async function open(kind: ImageKind, bytes: Buffer, { maxPixels, side }: DecodeRequest): Promise<VipsSource> {
  switch (kind) {
    case KIND.svg:
      return openSvg(await svgText(bytes), maxPixels, side);
    case KIND.heic: {
      const { file, codePoints } = readHeic(bytes, maxPixels);
      return { ...(await openVips(KIND.tiff, file)), codePoints };
    }
    case KIND.jpegXl:
      return openVips(KIND.png, await readJpegXl(bytes));
    case KIND.bmp:
      return openVips(KIND.tiff, readBmp(bytes));
    case KIND.icon: {
      const picture = readIcon(bytes);
      return openVips(picture.isPng ? KIND.png : KIND.tiff, picture.file());
    }
    default:
      return openVips(kind, bytes);
  }
}

/** A JPEG that libjpeg warns of is decoded as far as it can be, and said to be damaged unless the warning is a harmless one. */
async function decodeJpeg(source: VipsSource, request: DecodeRequest): Promise<DecodedImage> {
  let pixels: RgbImage;
  try {
    pixels = await vipsPixels(source, request);
    return { ...pixels, warnings: [] };
  } catch (error) {
    if (endsEarly(source.kind, source.bytes)) throw error;
    const lenient = { ...source, options: { ...source.options, failOn: 'error' as const } };
    pixels = await vipsPixels(lenient, request);
    return { ...pixels, warnings: isHarmless(error, source.bytes) ? [] : ['damaged'] };
  }
}
