/**
 * Image file to upright 8-bit sRGB pixels without alpha.
 *
 * sharp (libvips) decodes; the sample arithmetic that decides the last bit is done here, so that the pixels equal those of Pillow, with
 * which the models were trained: 16 bit to 8, alpha over white, CMYK without a profile. Two things differ on purpose from what the
 * original processors do: EXIF orientation and ICC profiles are honoured, because a sideways or oddly coloured photograph is not what
 * the user sees.
 */
import type { Metadata, Sharp, SharpOptions } from 'sharp';
import { ImageError } from '../errors.ts';
import { nativeWork } from '../threads/native-work.ts';
import { explainDecodeFailure } from './decode-failure.ts';
import { formatCount } from './format-count.ts';
import { isSrgbProfile } from './icc-profile.ts';
import { readImageBytes } from './image-bytes.ts';
import { sharp } from './load-sharp.ts';
import type { RgbImage } from './rgb-image.ts';

// Every image is read once, so remembered operations would only hold memory.
sharp.cache(false);
// Images are decoded side by side by the caller; more threads within one image would compete with the model for the cores.
sharp.concurrency(1);

/** What becomes of transparency: composited on a colour, or dropped, which uncovers whatever colour the transparent pixels have. */
export type AlphaRule = 'white' | 'black' | 'drop';

export type DecodeLimits = {
  /** Images of more pixels are refused before anything is decoded. */
  maxPixels: number;
  /** Default: `white`. */
  alpha?: AlphaRule;
};

/** An image whose header is read. Nothing of size is held but the compressed bytes. */
export type OpenedImage = {
  /** The most memory that `decode` holds at one time, in bytes, beside the decoder's own few rows. */
  decodedBytes: number;
  /** Decodes at full size, or, where a side is given and the image is much larger, near that side (see `reducedSize`). */
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

/** Reads a file and its image header, and checks the size. */
export async function openImage(
  path: string | Buffer,
  limits: DecodeLimits,
  signal?: AbortSignal,
): Promise<OpenedImage> {
  const bytes = await readImageBytes(path, signal);
  signal?.throwIfAborted();
  try {
    // The size is checked below, with a message of our own.
    const header = await nativeWork(sharp(bytes, { failOn: 'error', limitInputPixels: false }).metadata());
    refuseLarge(header, limits.maxPixels);
    return {
      decodedBytes: bytes.length + peakBytes(header),
      decode: async (side) => {
        try {
          return await decodeFrame(bytes, header, limits, side);
        } catch (error) {
          throw explainDecodeFailure(bytes, error);
        }
      },
    };
  } catch (error) {
    throw error instanceof ImageError ? error : explainDecodeFailure(bytes, error);
  }
}

function refuseLarge({ width, height }: Metadata, maxPixels: number): void {
  if (width * height <= maxPixels) return;
  throw new ImageError(
    'image-too-large',
    `the image has ${formatCount(width)} x ${formatCount(height)} pixels, which is more than the limit of ${formatCount(maxPixels)} pixels. ` +
      'Make it smaller, or raise the limit with --max-pixels.',
  );
}

function peakBytes(header: Metadata): number {
  const samples = header.hasAlpha || header.space === 'cmyk' ? 4 : 3;
  const turned = (header.orientation ?? 1) > 1 ? 2 : 1;
  return header.width * header.height * samples * bytesPerSample(header) * turned;
}

function bytesPerSample(header: Metadata): 1 | 2 {
  return header.depth === 'ushort' ? 2 : 1;
}

async function decodeFrame(bytes: Buffer, header: Metadata, limits: DecodeLimits, side?: number): Promise<RgbImage> {
  const options: SharpOptions = {
    failOn: 'error',
    limitInputPixels: limits.maxPixels,
    ignoreIcc: header.icc !== undefined && isSrgbProfile(header.icc),
  };
  const wide = bytesPerSample(header) === 2;
  // With a profile, libvips converts CMYK by it.
  const plainCmyk = header.space === 'cmyk' && header.icc === undefined;
  const upright = sharp(bytes, options).autoOrient();
  // Samples that need arithmetic of our own are decoded as they are.
  const plain = !wide && !plainCmyk && !header.hasAlpha;
  const reduced = side !== undefined && plain ? reducedSize(header, side) : undefined;
  const decoded = inColourSpace(
    reduced === undefined ? upright : reduce(upright, reduced, header.format),
    plainCmyk,
    wide,
  )
    .raw({ depth: wide ? 'ushort' : 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const { data, info } = await nativeWork(decoded);
  // A plain Uint8Array, because loops that see Buffers as well run slower.
  const samples = wide ? narrowSamples(data) : new Uint8Array(data.buffer, data.byteOffset, data.length);
  const pixels = info.width * info.height;
  const rgb = plainCmyk
    ? cmykToRgb(samples, pixels)
    : toThreeChannels(samples, pixels, info.channels, limits.alpha ?? 'white');
  return { width: info.width, height: info.height, data: rgb };
}

type Size = { width: number; height: number };

/**
 * The size at which to decode an image that will be resized to `side`: in one of more pixels than a square of eight sides, an axis longer
 * than that comes down to four.
 *
 * libvips reduces while it decodes, which costs next to nothing beside decoding, where the exact resize of a photograph of
 * 12 megapixels takes longer than its decoding. From four sides on the exact resize does the rest: against resizing exactly all the way
 * the result is off by 0.15 to 0.35 grey levels in the mean and 2 at most; libvips down to the end would be off by 0.3 to 0.7 and 6.
 */
function reducedSize(header: Metadata, side: number): Size | undefined {
  const { width, height } = header.autoOrient;
  const longest = 8 * side;
  if (width * height <= longest * longest) return undefined;
  const reducedAxis = (size: number): number => (size > longest ? 4 * side : size);
  return { width: reducedAxis(width), height: reducedAxis(height) };
}

function reduce(image: Sharp, { width, height }: Size, format: string): Sharp {
  const resized = image.resize(width, height, { fit: 'fill', kernel: 'cubic', fastShrinkOnLoad: false });
  // libjpeg may decode at a half, a quarter or an eighth, which leaves at least a factor of two to the kernel: a third faster, and just as
  // close to the exact resize (measured). Naming the colour space of the work keeps libwebp from the same, which loses precision there.
  return format === 'jpeg' ? resized : resized.pipelineColourspace('srgb');
}

function inColourSpace(image: Sharp, plainCmyk: boolean, wide: boolean): Sharp {
  if (plainCmyk) return image.pipelineColourspace('cmyk').toColourspace('cmyk');
  // Without the 16-bit space in between, libvips cuts the lower byte off instead of rounding.
  if (wide) return image.pipelineColourspace('rgb16').toColourspace('rgb16');
  return image.toColourspace('srgb');
}

/** 16-bit samples to 8 bits, each `round(v / 257)`, in place. */
function narrowSamples(data: Buffer): Uint8Array {
  const wide = new Uint16Array(data.buffer, data.byteOffset, data.length / 2);
  const narrow = new Uint8Array(data.buffer, data.byteOffset, wide.length);
  for (let at = 0; at < wide.length; at++) narrow[at] = Math.trunc(((wide[at] as number) + 128) / 257);
  return narrow;
}

/** Pillow's conversion without a profile: each ink dims what black lets through. In place, giving the first three quarters. */
function cmykToRgb(samples: Uint8Array, pixels: number): Uint8Array {
  for (let from = 0, to = 0; from < pixels * 4; from += 4, to += 3) {
    const light = 255 - (samples[from + 3] as number);
    for (let ink = 0; ink < 3; ink++)
      samples[to + ink] = light - Math.round(((samples[from + ink] as number) * light) / 255);
  }
  return samples.subarray(0, pixels * 3);
}

/** Grey is replicated and alpha resolved, in place where the result is not larger. */
function toThreeChannels(samples: Uint8Array, pixels: number, channels: number, alphaRule: AlphaRule): Uint8Array {
  if (channels === 3) return samples;
  const hasAlpha = channels === 2 || channels === 4;
  const rgb = channels > 3 ? samples.subarray(0, pixels * 3) : new Uint8Array(pixels * 3);
  const background = alphaRule === 'white' ? 255 : 0;
  for (let pixel = 0; pixel < pixels; pixel++) {
    const from = pixel * channels;
    const alpha = hasAlpha && alphaRule !== 'drop' ? (samples[from + channels - 1] as number) : 255;
    const behind = background * (255 - alpha);
    for (let channel = 0; channel < 3; channel++) {
      const value = samples[from + (channels > 2 ? channel : 0)] as number;
      rgb[pixel * 3 + channel] = Math.round((value * alpha + behind) / 255);
    }
  }
  return rgb;
}
