/**
 * The colours of HEIC and AVIF files without an ICC profile: numbers for primaries and tone curve (ISO/IEC 23091-2, ITU-T H.273).
 *
 * Decoders turn YCbCr into RGB by them and leave the RGB in the primaries of the file.
 */
import type { CodePoints } from '../kinds/iso-picture.ts';
import { IDENTITY, multiply, srgbToLinear, toneCurve, type MatrixProfile, type ToneCurve } from './matrix-profile.ts';

const BT709 = 1;
const UNSPECIFIED = 2;

type Chromaticities = readonly [rx: number, ry: number, gx: number, gy: number, bx: number, by: number];

const PRIMARIES: Readonly<Record<number, Chromaticities>> = {
  4: [0.67, 0.33, 0.21, 0.71, 0.14, 0.08],
  5: [0.64, 0.33, 0.29, 0.6, 0.15, 0.06],
  6: [0.63, 0.34, 0.31, 0.595, 0.155, 0.07],
  7: [0.63, 0.34, 0.31, 0.595, 0.155, 0.07],
  9: [0.708, 0.292, 0.17, 0.797, 0.131, 0.046],
  11: [0.68, 0.32, 0.265, 0.69, 0.15, 0.06],
  12: [0.68, 0.32, 0.265, 0.69, 0.15, 0.06],
};

/** Light that PQ and HLG call white (ITU-R BT.2408); what is brighter is cut off. */
const PQ_WHITE = 203 / 10_000;
const HLG_WHITE = hlgToLinear(0.75);

/** Tone curves other than that of sRGB. Those of television are meant as sRGB when they stand in a photograph, and shown so by everybody. */
const CURVES: Readonly<Record<number, (level: number) => number>> = {
  4: (level) => level ** 2.2,
  5: (level) => level ** 2.8,
  8: (level) => level,
  16: (level) => Math.min(pqToLinear(level) / PQ_WHITE, 1),
  18: (level) => Math.min(hlgToLinear(level) / HLG_WHITE, 1),
};

const curves = new Map<number, ToneCurve>();

/** How to convert such colours, or undefined where they are those of sRGB. */
export function codePointProfile({ primaries, transfer }: CodePoints): MatrixProfile | undefined {
  const chromaticities = primaries === BT709 || primaries === UNSPECIFIED ? undefined : PRIMARIES[primaries];
  if (chromaticities === undefined && CURVES[transfer] === undefined) return undefined;
  let curve = curves.get(transfer);
  if (curve === undefined) {
    curve = toneCurve(CURVES[transfer] ?? srgbToLinear);
    curves.set(transfer, curve);
  }
  return { curves: [curve, curve, curve], matrix: chromaticities === undefined ? IDENTITY : toSrgb(chromaticities) };
}

/** From linear light of other primaries to that of sRGB, both relative to a white of D65. */
function toSrgb(chromaticities: Chromaticities): number[] {
  const SRGB: Chromaticities = [0.64, 0.33, 0.3, 0.6, 0.15, 0.06];
  return multiply(inverse(toXyz(SRGB)), toXyz(chromaticities));
}

function toXyz([rx, ry, gx, gy, bx, by]: Chromaticities): number[] {
  const columns = [xyzOfColour(rx, ry), xyzOfColour(gx, gy), xyzOfColour(bx, by)];
  const rows = [0, 1, 2].flatMap((row) => columns.map((column) => column[row] ?? 0));
  const [whiteX, whiteY] = [0.3127, 0.329];
  const white = xyzOfColour(whiteX, whiteY);
  const inverted = inverse(rows);
  const scale = [0, 1, 2].map((row) =>
    [0, 1, 2].reduce((sum, k) => sum + (inverted[row * 3 + k] ?? 0) * (white[k] ?? 0), 0),
  );
  return rows.map((value, index) => value * (scale[index % 3] ?? 0));
}

function xyzOfColour(x: number, y: number): number[] {
  return [x / y, 1, (1 - x - y) / y];
}

function inverse([a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0, i = 0]: readonly number[]): number[] {
  const determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  return [
    e * i - f * h,
    c * h - b * i,
    b * f - c * e,
    f * g - d * i,
    a * i - c * g,
    c * d - a * f,
    d * h - e * g,
    b * g - a * h,
    a * e - b * d,
  ].map((cofactor) => cofactor / determinant);
}

/** SMPTE ST 2084: a level to light, where 1 stands for 10,000 candela per square metre. */
function pqToLinear(level: number): number {
  const [m1, m2] = [0.159_301_757_812_5, 78.843_75];
  const [c1, c2, c3] = [0.835_937_5, 18.851_562_5, 18.687_5];
  const root = level ** (1 / m2);
  return (Math.max(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1);
}

/** ITU-R BT.2100: a level of HLG to light of the scene. */
function hlgToLinear(level: number): number {
  const [a, b, c] = [0.178_832_77, 0.284_668_92, 0.559_910_73];
  return level <= 0.5 ? level ** 2 / 3 : (Math.exp((level - c) / a) + b) / 12;
}
