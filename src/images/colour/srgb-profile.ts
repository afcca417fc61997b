/**
 * Recognises ICC profiles that say no more than "this is sRGB".
 *
 * Cameras and phones embed one in nearly every photograph. Converting sRGB to sRGB changes no pixel and takes longer than decoding.
 */
import { ascii, dataColourSpace, findTag, viewOf, xyzOf } from './icc-tags.ts';

/** Red, green and blue of sRGB relative to the D50 white of profiles, as X, Y, Z. */
export const SRGB_COLORANTS = {
  rXYZ: [0.4361, 0.2225, 0.0139],
  gXYZ: [0.3851, 0.7169, 0.0971],
  bXYZ: [0.1431, 0.0606, 0.7141],
} as const;

/** Profiles of different makers round their numbers differently. */
const TOLERANCE = 0.0015;

/** Whether a profile has the primaries of sRGB and calls itself so. The name stands for the tone curve, which has many encodings. */
export function isSrgbProfile(profile: Uint8Array): boolean {
  const view = viewOf(profile);
  if (view === undefined || dataColourSpace(view) !== 'RGB ') return false;
  const description = findTag(view, 'desc');
  if (description === undefined) return false;
  const name = ascii(view, description.offset, Math.min(description.length, 256)).replaceAll('\0', '');
  // A name such as "linear sRGB" or "sRGB, gamma 2.2" has the primaries but another curve.
  if (!/sRGB/.test(name) || /linear|gamma|g10|g22|1\.0|2\.2/i.test(name)) return false;
  return Object.entries(SRGB_COLORANTS).every(([tagName, expected]) => {
    const found = xyzOf(view, findTag(view, tagName));
    return found !== undefined && expected.every((value, axis) => Math.abs((found[axis] ?? 0) - value) < TOLERANCE);
  });
}
