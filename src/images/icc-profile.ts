/**
 * Recognises ICC profiles that say no more than "this is sRGB".
 *
 * Cameras and phones embed one in nearly every photograph. Converting sRGB to sRGB changes no pixel and takes longer than decoding.
 */

/** Red, green and blue of sRGB relative to the D50 white of profiles, as X, Y, Z. */
const SRGB_COLORANTS: readonly (readonly [string, readonly [number, number, number]])[] = [
  ['rXYZ', [0.4361, 0.2225, 0.0139]],
  ['gXYZ', [0.3851, 0.7169, 0.0971]],
  ['bXYZ', [0.1431, 0.0606, 0.7141]],
];

/** Profiles of different makers round their numbers differently. */
const TOLERANCE = 0.0015;

/** Whether a profile has the primaries of sRGB and calls itself so. The name stands for the tone curve, which has many encodings. */
export function isSrgbProfile(profile: Uint8Array): boolean {
  const view = new DataView(profile.buffer, profile.byteOffset, profile.byteLength);
  if (view.byteLength < 132 || ascii(view, 16, 4) !== 'RGB ') return false;
  const description = findTag(view, 'desc');
  if (description === undefined) return false;
  const name = ascii(view, description.offset, Math.min(description.length, 256)).replaceAll('\0', '');
  // A name such as "linear sRGB" or "sRGB, gamma 2.2" has the primaries but another curve.
  if (!/sRGB/.test(name) || /linear|gamma|g10|g22|1\.0|2\.2/i.test(name)) return false;
  return SRGB_COLORANTS.every(([tagName, expected]) => {
    const tag = findTag(view, tagName);
    if (tag === undefined || tag.length < 20) return false;
    return expected.every((value, axis) => {
      const fixed = view.getInt32(tag.offset + 8 + axis * 4) / 65536;
      return Math.abs(fixed - value) < TOLERANCE;
    });
  });
}

function findTag(view: DataView, name: string): { offset: number; length: number } | undefined {
  const count = Math.min(view.getUint32(128), 100);
  for (let entry = 132; entry < 132 + count * 12 && entry + 12 <= view.byteLength; entry += 12) {
    if (ascii(view, entry, 4) !== name) continue;
    const offset = view.getUint32(entry + 4);
    const length = view.getUint32(entry + 8);
    return offset + length <= view.byteLength ? { offset, length } : undefined;
  }
  return undefined;
}

function ascii(view: DataView, offset: number, length: number): string {
  let text = '';
  for (let at = offset; at < offset + length && at < view.byteLength; at++)
    text += String.fromCharCode(view.getUint8(at));
  return text;
}
