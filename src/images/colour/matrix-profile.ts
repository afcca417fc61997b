/**
 * Colours that are three tone curves and a matrix away from sRGB: nearly every RGB and grey ICC profile that is not for a printer, and the
 * code points of HEIC and AVIF files.
 *
 * libvips converts 8-bit pictures by their profiles. It converts 16-bit ones to Display P3 instead of sRGB and leaves 16-bit grey as it is
 * (sharp 0.35), and knows no code points. Here every sample goes through its curve and the sum of a pixel through the curve of sRGB, with tables
 * of 16 bits, so a channel is off by less than half a level before it is rounded. What sRGB cannot show is cut off, as littleCMS does.
 */
import { connectionSpace, dataColourSpace, findTag, viewOf, xyzOf, type IccTag } from './icc-tags.ts';

/** Linear light of 65,536 levels, 0 to 1. */
export type ToneCurve = Float32Array;

export type MatrixProfile = {
  /** Of red, green and blue, or of grey alone. */
  curves: readonly [ToneCurve] | readonly [ToneCurve, ToneCurve, ToneCurve];
  /** Linear light of the profile to linear light of sRGB, row by row. */
  matrix: readonly number[];
};

const LEVELS = 65_536;

/** XYZ relative to D50 to linear sRGB: the inverse of the matrix of sRGB's colorants, Bradford-adapted. */
const XYZ_TO_SRGB = [
  3.134_135_9, -1.617_386_4, -0.490_661_9, -0.978_795_5, 1.916_254_4, 0.033_442_7, 0.071_955_4, -0.228_976_8,
  1.405_386_4,
];

export const IDENTITY: readonly number[] = [1, 0, 0, 0, 1, 0, 0, 0, 1];

/**
 * Reads an ICC profile of curves and a matrix.
 *
 * @returns undefined for one of another kind (with tables, for CMYK), and for a damaged one.
 */
export function readMatrixProfile(profile: Uint8Array): MatrixProfile | undefined {
  // Pictures of one folder mostly have the same one, and its tables take longer to fill than a small picture to convert.
  if (recent !== undefined && Buffer.compare(recent.profile, profile) === 0) return recent.result;
  recent = { profile: Uint8Array.from(profile), result: parse(profile) };
  return recent.result;
}

let recent: { profile: Uint8Array; result: MatrixProfile | undefined } | undefined;

function parse(profile: Uint8Array): MatrixProfile | undefined {
  const view = viewOf(profile);
  if (view === undefined || connectionSpace(view) !== 'XYZ ' || findTag(view, 'A2B0') !== undefined) return undefined;
  if (dataColourSpace(view) === 'GRAY') {
    const curve = readCurve(view, findTag(view, 'kTRC'));
    return curve === undefined ? undefined : { curves: [curve], matrix: IDENTITY };
  }
  if (dataColourSpace(view) !== 'RGB ') return undefined;
  const colorants = ['rXYZ', 'gXYZ', 'bXYZ'].map((name) => xyzOf(view, findTag(view, name)));
  const [red, green, blue] = readCurves(view, ['rTRC', 'gTRC', 'bTRC']);
  if (red === undefined || green === undefined || blue === undefined) return undefined;
  const columns = colorants.filter((colorant) => colorant !== undefined);
  if (columns.length < 3) return undefined;
  const toXyz = [0, 1, 2].flatMap((row) => columns.map((column) => column[row] ?? 0));
  return { curves: [red, green, blue], matrix: multiply(XYZ_TO_SRGB, toXyz) };
}

/** The product of two matrices of three rows. */
export function multiply(a: readonly number[], b: readonly number[]): number[] {
  return Array.from({ length: 9 }, (_, index) => {
    const [row, column] = [Math.trunc(index / 3), index % 3];
    return [0, 1, 2].reduce((sum, k) => sum + (a[row * 3 + k] ?? 0) * (b[k * 3 + column] ?? 0), 0);
  });
}

/** A curve of 65,536 levels by its formula. */
export function toneCurve(linear: (level: number) => number): ToneCurve {
  return Float32Array.from({ length: LEVELS }, (_, level) => linear(level / (LEVELS - 1)));
}

/** The tone curve of sRGB: a level of 0 to 1 to linear light. */
export function srgbToLinear(level: number): number {
  return level <= 0.040_45 ? level / 12.92 : ((level + 0.055) / 1.055) ** 2.4;
}

let encodingTable: Uint8Array | undefined;

/** 8-bit levels of sRGB for linear light in steps of 1/65,535. */
export function srgbLevels(): Uint8Array {
  encodingTable ??= Uint8Array.from({ length: LEVELS }, (_, index) => {
    const linear = index / (LEVELS - 1);
    const level = linear <= 0.003_130_8 ? linear * 12.92 : 1.055 * linear ** (1 / 2.4) - 0.055;
    return Math.round(level * 255);
  });
  return encodingTable;
}

/**
 * Converts pixels to 8-bit sRGB.
 *
 * @param samples 8 or 16 bits each, `channels` to a pixel, of which the first one or three are the colour
 * @returns three samples per pixel
 */
export function matrixToSrgb(
  samples: Uint8Array | Uint16Array,
  pixels: number,
  channels: number,
  { curves, matrix }: MatrixProfile,
): Uint8Array {
  const step = samples instanceof Uint8Array ? 257 : 1;
  return curves.length === 1
    ? greyToSrgb(samples, pixels, channels, step, curves[0])
    : colourToSrgb(samples, pixels, channels, step, curves, matrix);
}

function greyToSrgb(
  samples: Uint8Array | Uint16Array,
  pixels: number,
  channels: number,
  step: number,
  curve: ToneCurve,
): Uint8Array {
  const rgb = new Uint8Array(pixels * 3);
  const encode = srgbLevels();
  for (let pixel = 0; pixel < pixels; pixel++) {
    const level = encode[toIndex(curve[(samples[pixel * channels] as number) * step] as number)] as number;
    rgb.fill(level, pixel * 3, pixel * 3 + 3);
  }
  return rgb;
}

function colourToSrgb(
  samples: Uint8Array | Uint16Array,
  pixels: number,
  channels: number,
  step: number,
  [redCurve, greenCurve, blueCurve]: readonly [ToneCurve, ToneCurve, ToneCurve],
  matrix: readonly number[],
): Uint8Array {
  const rgb = new Uint8Array(pixels * 3);
  const encode = srgbLevels();
  const [rr = 0, rg = 0, rb = 0, gr = 0, gg = 0, gb = 0, br = 0, bg = 0, bb = 0] = matrix;
  for (let pixel = 0, from = 0, to = 0; pixel < pixels; pixel++, from += channels, to += 3) {
    const red = redCurve[(samples[from] as number) * step] as number;
    const green = greenCurve[(samples[from + 1] as number) * step] as number;
    const blue = blueCurve[(samples[from + 2] as number) * step] as number;
    rgb[to] = encode[toIndex(rr * red + rg * green + rb * blue)] as number;
    rgb[to + 1] = encode[toIndex(gr * red + gg * green + gb * blue)] as number;
    rgb[to + 2] = encode[toIndex(br * red + bg * green + bb * blue)] as number;
  }
  return rgb;
}

function toIndex(linear: number): number {
  // Also where it is no number.
  if (!(linear > 0)) return 0;
  return linear >= 1 ? LEVELS - 1 : Math.trunc(linear * (LEVELS - 1) + 0.5);
}

/** The curves of some tags, which are often the same one. */
function readCurves(view: DataView, names: readonly string[]): (ToneCurve | undefined)[] {
  const read = new Map<number, ToneCurve | undefined>();
  return names.map((name) => {
    const tag = findTag(view, name);
    if (tag === undefined) return undefined;
    if (!read.has(tag.offset)) read.set(tag.offset, readCurve(view, tag));
    return read.get(tag.offset);
  });
}

/** The curve of a TRC tag: a table, a power, or one of five formulas (ICC.1:2022, 10.6 and 10.18). */
function readCurve(view: DataView, tag: IccTag | undefined): ToneCurve | undefined {
  if (tag === undefined || tag.length < 12) return undefined;
  const type = view.getUint32(tag.offset);
  const CURVE = 0x63757276;
  const PARAMETRIC = 0x70617261;
  if (type === CURVE) return readTable(view, tag);
  return type === PARAMETRIC ? readFormula(view, tag) : undefined;
}

function readTable(view: DataView, { offset, length }: IccTag): ToneCurve | undefined {
  const count = view.getUint32(offset + 8);
  if (12 + count * 2 > length) return undefined;
  if (count === 0) return toneCurve((level) => level);
  if (count === 1) {
    const gamma = view.getUint16(offset + 12) / 256;
    return toneCurve((level) => level ** gamma);
  }
  const at = (index: number): number => view.getUint16(offset + 12 + index * 2) / 65_535;
  return toneCurve((level) => {
    const place = level * (count - 1);
    const below = Math.min(Math.trunc(place), count - 2);
    return at(below) + (at(below + 1) - at(below)) * (place - below);
  });
}

function readFormula(view: DataView, { offset, length }: IccTag): ToneCurve | undefined {
  const type = view.getUint16(offset + 8);
  const count = [1, 3, 4, 5, 7][type];
  if (count === undefined || 12 + count * 4 > length) return undefined;
  const [g = 1, a = 1, b = 0, c = 0, d = 0, e = 0, f = 0] = Array.from(
    { length: count },
    (_, index) => view.getInt32(offset + 12 + index * 4) / 65_536,
  );
  // A sum below zero has no such power.
  const power = (level: number): number => Math.max(a * level + b, 0) ** g;
  switch (type) {
    case 0:
      return toneCurve((level) => level ** g);
    case 1:
      return toneCurve((level) => (level >= -b / a ? power(level) : 0));
    case 2:
      return toneCurve((level) => (level >= -b / a ? power(level) + c : c));
    case 3:
      return toneCurve((level) => (level >= d ? power(level) : c * level));
    default:
      return toneCurve((level) => (level >= d ? power(level) + e : c * level + f));
  }
}
