/**
 * Pixels by libvips (through sharp).
 *
 * The sample arithmetic that decides the last bit is done here, so that the pixels equal those of Pillow, with which the models were trained:
 * 16 bit to 8, alpha over white, CMYK without a profile. So is what libvips does not do, or does to another end: profiles of 16-bit pictures,
 * L*a*b*, samples that are measurements. Everything else libvips converts itself.
 */
import type { Metadata, Sharp } from 'sharp';
import { sharp } from '../load-sharp.ts';
import { ImageError } from '../../errors.ts';
import { nativeWork } from '../../threads/native-work.ts';
import { compositeAlpha, flattenLevels, type Alpha, type AlphaRule } from '../colour/alpha.ts';
import { cmykToRgb } from '../colour/cmyk.ts';
import { codePointProfile } from '../colour/code-points.ts';
import { dataColourSpace, viewOf } from '../colour/icc-tags.ts';
import { labToSrgb } from '../colour/lab.ts';
import { matrixToSrgb, readMatrixProfile, type MatrixProfile } from '../colour/matrix-profile.ts';
import { narrowSamples, scaleMeasured, type Numbers } from '../colour/measured-samples.ts';
import { isSrgbProfile } from '../colour/srgb-profile.ts';
import { PHOTOMETRIC } from '../kinds/tiff-picture.ts';
import type { RgbImage } from '../rgb-image.ts';
import { isLab, type VipsSource } from './vips-source.ts';

export type PixelRequest = {
  alpha: AlphaRule;
  /** Where the image will be resized to a square of this side, and is much larger, it may be decoded near that side (see `reducedSize`). */
  side: number | undefined;
  /** After so many seconds libvips gives up, as far as it notices. */
  seconds: number | undefined;
};

/** How libvips is asked for samples, and what is made of them. */
type Conversion = {
  /** The colour space that libvips gives; where it is the one of the file, nothing is converted. */
  space: string;
  depth: 'uchar' | 'ushort' | 'uint' | 'float';
  /** Whether libvips converts by the embedded profile. */
  byProfile: boolean;
  /** Whether the work within libvips is to be done in `space` too. */
  within: boolean;
  /** Channels of a pixel that are its colour; those behind may be alpha. */
  colours: 1 | 3 | 4;
  /** Whether libvips cuts 16-bit alpha off at 255 while it converts the colours, so that it must be read by itself. */
  alphaIsLost?: boolean;
  /** From samples to RGB; where it is missing they are 8-bit levels of it, or of grey, already. */
  toRgb?: (samples: Buffer, pixels: number, channels: number, alpha: Alpha) => Uint8Array;
};

/** The first frame or page, upright. @throws what libvips throws for damaged data */
export async function vipsPixels(source: VipsSource, { alpha: rule, side, seconds }: PixelRequest): Promise<RgbImage> {
  const { header } = source;
  const conversion = conversionOf(source);
  const image = sharp(source.bytes, { ...source.options, ignoreIcc: !conversion.byProfile });
  if (seconds !== undefined) image.timeout({ seconds: Math.min(Math.ceil(seconds), 3600) });
  const upright = image.autoOrient();
  // With alpha or another sample beside the colour, libvips would mix it into the colours.
  const exact = conversion.depth !== 'uchar' || conversion.colours === 4 || header.hasAlpha;
  const size = side === undefined || exact ? undefined : reducedSize(header, side);
  const reduced = size === undefined ? upright : reduce(upright, size, header.format);
  const decoded = inColourSpace(reduced, conversion).raw({ depth: conversion.depth });
  const { data, info } = await nativeWork(decoded.toBuffer({ resolveWithObject: true }));
  const pixels = info.width * info.height;
  const { alphaIsLost = false } = conversion;
  const alpha = { channel: alphaIsLost ? undefined : alphaChannel(source, conversion.colours, info.channels), rule };
  const rgb = toRgb(conversion, data, pixels, info.channels, alpha);
  if (alphaIsLost) await compositeCmykAlpha(source, rgb, pixels, rule);
  return { width: info.width, height: info.height, data: rgb };
}

/** Lays 16-bit CMYK, converted to RGB, on its background. */
async function compositeCmykAlpha(source: VipsSource, rgb: Uint8Array, pixels: number, rule: AlphaRule): Promise<void> {
  const { channels } = source.header;
  const alpha = { channel: alphaChannel(source, 4, channels), rule };
  const image = sharp(source.bytes, { ...source.options, ignoreIcc: true })
    .autoOrient()
    .pipelineColourspace('cmyk');
  const data = await nativeWork(image.toColourspace('cmyk').raw({ depth: 'ushort' }).toBuffer());
  compositeAlpha(rgb, pixels, wideOf(data), channels, alpha);
}

/** The most memory that `vipsPixels` holds at one time, in bytes, beside libvips' own few rows. */
export function vipsPeakBytes(source: VipsSource): number {
  const { width, height, channels, orientation } = source.header;
  const { depth, toRgb: converted } = conversionOf(source);
  const sampleBytes = { uchar: 1, ushort: 2, uint: 4 + 2, float: 4 + 2 }[depth];
  const turned = (orientation ?? 1) > 1 ? 2 : 1;
  const copied = converted === undefined || depth === 'ushort' ? 0 : 3;
  return width * height * (Math.max(channels, 3) * sampleBytes * turned + copied);
}

/** Whether the samples of an image go through arithmetic here, which takes the thread's time. */
export function needsArithmetic(source: VipsSource): boolean {
  return source.header.hasAlpha || conversionOf(source).toRgb !== undefined;
}

function conversionOf(source: VipsSource): Conversion {
  const { header, tiff, codePoints } = source;
  const { space, depth, icc } = header;
  const wide = depth === 'ushort';
  if (space === 'cmyk') return cmykConversion(header, wide);
  if (tiff !== undefined && isLab(tiff)) return labConversion(wide, tiff.photometric === PHOTOMETRIC.cieLab);

  if (tiff !== undefined && (tiff.sampleFormat !== 'unsigned' || tiff.bits === 32)) {
    return measuredConversion(source, profileOf(source));
  }
  if (wide) return wideConversion(header, profileOf(source));
  if (icc !== undefined) return { ...LEVELS, byProfile: !isSrgbProfile(icc) };
  // Without a profile only code points say what the colours are, and libvips does not know them.
  const profile = codePoints === undefined ? undefined : codePointProfile(codePoints);
  if (profile === undefined) return LEVELS;
  return {
    ...LEVELS,
    toRgb: (data, pixels, channels, alpha) => byMatrix(levelsOf(data), pixels, channels, alpha, profile),
  };
}

const LEVELS: Conversion = { space: 'srgb', depth: 'uchar', byProfile: false, within: false, colours: 3 };

/** Colours other than those of sRGB that can be converted here. */
function profileOf({ header: { icc }, codePoints }: VipsSource): MatrixProfile | undefined {
  if (icc !== undefined) return isSrgbProfile(icc) ? undefined : readMatrixProfile(icc);
  return codePoints === undefined ? undefined : codePointProfile(codePoints);
}

function cmykConversion({ icc, hasAlpha }: Metadata, wide: boolean): Conversion {
  const profile = icc === undefined ? undefined : viewOf(icc);
  if (profile !== undefined && dataColourSpace(profile) === 'CMYK') {
    return { ...LEVELS, byProfile: true, alphaIsLost: wide && hasAlpha };
  }
  return {
    space: 'cmyk',
    depth: wide ? 'ushort' : 'uchar',
    byProfile: false,
    // Otherwise libvips converts by a profile of its own.
    within: true,
    colours: 4,
    toRgb: (data, pixels, channels, alpha) => {
      const samples = wide ? narrowSamples(wideOf(data)) : levelsOf(data);
      const rgb = cmykToRgb(samples, pixels, channels);
      compositeAlpha(rgb, pixels, samples, channels, alpha);
      return rgb;
    },
  };
}

function labConversion(wide: boolean, signed: boolean): Conversion {
  return {
    ...LEVELS,
    ...(wide ? { space: 'rgb16', depth: 'ushort' } : {}),
    toRgb: (data, pixels, channels, alpha) => {
      const samples = wide ? wideOf(data) : levelsOf(data);
      const rgb = labToSrgb(samples, pixels, channels, signed);
      compositeAlpha(rgb, pixels, samples, channels, alpha);
      return rgb;
    },
  };
}

/** @throws ImageError for measured samples that are neither grey nor RGB */
function measuredConversion({ header, tiff }: VipsSource, profile: MatrixProfile | undefined): Conversion {
  const { space, depth } = header;
  const colours = space === 'srgb' || space === 'rgb16' || space === 'scrgb' ? 3 : 1;
  if (colours === 1 && space !== 'b-w' && space !== 'grey16') {
    const what = `${tiff?.bits ?? ''}-bit samples of the colour space ${space}`;
    const advice = 'Save it again as RGB with 8 or 16 bits per sample.';
    throw new ImageError('unsupported-format', `the TIFF holds ${what}, which cannot be read. ${advice}`);
  }
  const read = depth === 'uchar' || depth === 'ushort' || depth === 'uint' ? depth : 'float';
  const noData = tiff?.noData === undefined ? undefined : read === 'float' ? Math.fround(tiff.noData) : tiff.noData;
  return {
    space,
    depth: read,
    byProfile: false,
    within: false,
    colours,
    toRgb: (data, pixels, channels, alpha) => {
      const numbers = numbersOf(data, read, tiff?.sampleFormat === 'signed');
      const samples = scaleMeasured(numbers, channels, colours, noData);
      return wideToRgb(samples, pixels, channels, colours, alpha, profile);
    },
  };
}

function wideConversion({ space, icc }: Metadata, profile: MatrixProfile | undefined): Conversion {
  const grey = space === 'grey16' || space === 'b-w';
  // A profile of tables is left to libvips, by way of Display P3, its only space for 16 bits.
  const byTables = !grey && profile === undefined && icc !== undefined && !isSrgbProfile(icc) && isRgb(icc);
  const colours = grey ? 1 : 3;
  const fitting = profile !== undefined && (profile.curves.length === 1) === grey ? profile : undefined;
  return {
    space: grey ? 'grey16' : 'rgb16',
    depth: 'ushort',
    byProfile: byTables,
    // Without the 16-bit space in between, libvips cuts the lower byte off instead of rounding.
    within: true,
    colours,
    toRgb: (data, pixels, channels, alpha) =>
      wideToRgb(wideOf(data), pixels, channels, colours, alpha, byTables ? undefined : fitting),
  };
}

function isRgb(icc: Uint8Array): boolean {
  const view = viewOf(icc);
  return view !== undefined && dataColourSpace(view) === 'RGB ';
}

function toRgb(
  { toRgb: convert, colours }: Conversion,
  data: Buffer,
  pixels: number,
  channels: number,
  alpha: Alpha,
): Uint8Array {
  if (convert !== undefined) return convert(data, pixels, channels, alpha);
  return flattenLevels(levelsOf(data), pixels, channels, colours === 1 || channels < 3 ? 1 : 3, alpha);
}

function wideToRgb(
  samples: Uint16Array,
  pixels: number,
  channels: number,
  colours: 1 | 3,
  alpha: Alpha,
  profile: MatrixProfile | undefined,
): Uint8Array {
  if (profile !== undefined) return byMatrix(samples, pixels, channels, alpha, profile);
  return flattenLevels(narrowSamples(samples), pixels, channels, colours, alpha);
}

function byMatrix(
  samples: Uint8Array | Uint16Array,
  pixels: number,
  channels: number,
  alpha: Alpha,
  profile: MatrixProfile,
): Uint8Array {
  const rgb = matrixToSrgb(samples, pixels, channels, profile);
  compositeAlpha(rgb, pixels, samples, channels, alpha);
  return rgb;
}

/** A plain Uint8Array, because loops that see Buffers as well run slower. */
function levelsOf(data: Buffer): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.length);
}

function wideOf(data: Buffer): Uint16Array {
  return new Uint16Array(data.buffer, data.byteOffset, data.length / 2);
}

function numbersOf(data: Buffer, depth: Conversion['depth'], signed: boolean): Numbers {
  const { buffer, byteOffset, length } = data;
  if (depth === 'float') return new Float32Array(buffer, byteOffset, length / 4);
  if (depth === 'uint' && signed) return new Int32Array(buffer, byteOffset, length / 4);
  if (depth === 'uint') return new Uint32Array(buffer, byteOffset, length / 4);
  if (depth === 'ushort') return new Int16Array(buffer, byteOffset, length / 2);
  return new Int8Array(buffer, byteOffset, length);
}

/** Where the alpha of a pixel lies: where the TIFF says, and otherwise last. */
function alphaChannel({ header, tiff }: VipsSource, colours: number, channels: number): number | undefined {
  if (!header.hasAlpha) return undefined;
  if (tiff === undefined) return channels === 2 || channels > 3 ? channels - 1 : undefined;
  const place = tiff.extraSamples.indexOf('alpha');
  return place < 0 || colours + place >= channels ? undefined : colours + place;
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
  return format === 'webp' ? resized.pipelineColourspace('srgb') : resized;
}

function inColourSpace(image: Sharp, { space, within, byProfile, depth }: Conversion): Sharp {
  const given = (within ? image.pipelineColourspace(space) : image).toColourspace(space);
  return byProfile && depth === 'ushort' ? given.withIccProfile('srgb') : given;
}
