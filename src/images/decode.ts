/**
 * Image file to upright 8-bit sRGB pixels without alpha.
 *
 * Two things differ on purpose from what the original processors of the models do: orientation and colour profiles are honoured, because a
 * sideways or oddly coloured photograph is not what the user sees.
 *
 * Where an image is decoded depends on what can go wrong with it. libvips decodes the usual kinds on its own threads in this process, which
 * cannot be stopped within a call. What may take long there, or reads more than pixels (drawings, everything in WebAssembly), is decoded
 * apart, in a process that is ended when it takes too long or too much memory (`apart/`).
 */
import { ImageError } from '../errors.ts';
import { tooSlow } from './apart/decoder-process.ts';
import { decoderPool } from './apart/decoder-pool.ts';
import type { AlphaRule } from './colour/alpha.ts';
import { asImageError, type DecodeRequest } from './decode-bytes.ts';
import { DEFAULT_DECODE_SECONDS } from './decode-seconds.ts';
import { readableKind, refuseLarge } from './decode-failure.ts';
import { readImageBytes } from './image-bytes.ts';
import { inspect, type Inspection } from './inspect.ts';
import { endsEarly } from './kinds/early-end.ts';
import { KIND, type ImageKind } from './kinds/kinds.ts';
import { vipsPixels } from './readers/vips-pixels.ts';
import type { DecodedImage, ImageWarning, RgbImage } from './rgb-image.ts';

export type { AlphaRule };

export type DecodeLimits = {
  /** Images of more pixels are refused before anything is decoded. */
  maxPixels: number;
  /** Computing time that decoding one image may take. Default: 20 seconds. */
  decodeSeconds?: number;
  /** Default: `white`. */
  alpha?: AlphaRule;
  /** Told of what is wrong with an image that is decoded all the same. */
  warn?: (warning: ImageWarning) => void;
};

/** What a decoding process takes for itself, libraries and WebAssembly included. */
const PROCESS_BYTES = 512 * 2 ** 20;

/** An image whose header is read. Nothing of size is held but the compressed bytes. */
export type OpenedImage = {
  /** The most memory that `decode` holds at one time, in bytes, beside the decoder's own few rows. */
  decodedBytes: number;
  /** Decodes at full size, or, where a side is given and the image is much larger, near that side (see `readers/vips-pixels.ts`). */
  decode: (side?: number) => Promise<RgbImage>;
};

/**
 * Decodes the first frame or page of an image file at full size.
 *
 * Holds 3 bytes per pixel; 4 with transparency or CMYK, twice that for 16 bits, and twice again while a picture is turned upright.
 *
 * @throws ImageError for everything that is wrong with the file.
 */
export async function decodeImage(path: string, limits: DecodeLimits, signal?: AbortSignal): Promise<RgbImage> {
  const opened = await openImage(path, limits, signal);
  signal?.throwIfAborted();
  return opened.decode();
}

/** Reads a file and its image header, and checks the size. Aborting also ends a decoding that runs apart. */
export async function openImage(
  path: string | Buffer,
  limits: DecodeLimits,
  signal?: AbortSignal,
): Promise<OpenedImage> {
  const bytes = await readImageBytes(path, signal);
  signal?.throwIfAborted();
  const kind = readableKind(path.toString(), bytes);
  let inspection: Inspection;
  try {
    inspection = await inspect(kind, bytes, limits.maxPixels);
  } catch (error) {
    throw asImageError(kind, bytes, error);
  }
  const { size, decodedBytes } = inspection;
  const tooLarge = size === undefined ? undefined : refuseLarge(size.width, size.height, limits.maxPixels);
  if (tooLarge !== undefined) throw tooLarge;
  return {
    decodedBytes: bytes.length + decodedBytes,
    decode: async (side) => {
      const { warnings, ...image } = await decode(kind, inspection, limits, side, signal);
      for (const warning of warnings) limits.warn?.(warning);
      return image;
    },
  };
}

async function decode(
  kind: ImageKind,
  { here, bytes, decodedBytes }: Inspection,
  limits: DecodeLimits,
  side: number | undefined,
  signal: AbortSignal | undefined,
): Promise<DecodedImage> {
  const { maxPixels, alpha = 'white', decodeSeconds = DEFAULT_DECODE_SECONDS } = limits;
  const request: DecodeRequest = { maxPixels, alpha, side, seconds: undefined };
  if (here !== undefined) {
    try {
      // Beside the deadline here, which gives up waiting, libvips has one of its own, which gives its memory back.
      const pixels = vipsPixels(here, { ...request, seconds: decodeSeconds + 1 });
      return { ...(await withDeadline(pixels, kind, decodeSeconds)), warnings: [] };
    } catch (error) {
      // Whether a JPEG is damaged or has a harmless flaw shows where no other image is decoded beside it.
      if (error instanceof ImageError || kind !== KIND.jpeg || endsEarly(kind, bytes)) {
        throw asImageError(kind, bytes, error);
      }
    }
  }
  const apart = { seconds: decodeSeconds, memory: PROCESS_BYTES + 2 * decodedBytes };
  return decoderPool.decode({ kind: kind.name, bytes, request, limits: apart }, signal);
}

async function withDeadline(pixels: Promise<RgbImage>, kind: ImageKind, seconds: number): Promise<RgbImage> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooSlow(kind.name, seconds)), seconds * 1000);
  });
  try {
    return await Promise.race([pixels, deadline]);
  } finally {
    clearTimeout(timer);
    // What it ends with after the deadline is of no interest.
    pixels.catch(() => undefined);
  }
}
