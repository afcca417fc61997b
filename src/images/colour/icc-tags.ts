/** The tags of an ICC profile (ICC.1:2022, section 7). Profiles are untrusted: what lies behind the end is missing. */

export type IccTag = { offset: number; length: number };

/** The header and the table of tags. */
const HEADER_BYTES = 132;
/** A profile has a few dozen. */
const MAX_TAGS = 100;

export function viewOf(profile: Uint8Array): DataView | undefined {
  return profile.byteLength < HEADER_BYTES
    ? undefined
    : new DataView(profile.buffer, profile.byteOffset, profile.byteLength);
}

/** The colours of the samples, as `RGB `, `GRAY`, `CMYK`. */
export function dataColourSpace(view: DataView): string {
  return ascii(view, 16, 4);
}

/** The colours that the profile leads to, as `XYZ ` or `Lab `. */
export function connectionSpace(view: DataView): string {
  return ascii(view, 20, 4);
}

export function findTag(view: DataView, name: string): IccTag | undefined {
  const count = Math.min(view.getUint32(128), MAX_TAGS);
  for (let entry = HEADER_BYTES; entry < HEADER_BYTES + count * 12 && entry + 12 <= view.byteLength; entry += 12) {
    if (ascii(view, entry, 4) !== name) continue;
    const offset = view.getUint32(entry + 4);
    const length = view.getUint32(entry + 8);
    return offset + length <= view.byteLength ? { offset, length } : undefined;
  }
  return undefined;
}

/** The three numbers of an XYZ tag, or undefined where it is none. */
export function xyzOf(view: DataView, tag: IccTag | undefined): [number, number, number] | undefined {
  if (tag === undefined || tag.length < 20) return undefined;
  const at = (axis: number): number => view.getInt32(tag.offset + 8 + axis * 4) / 65_536;
  return [at(0), at(1), at(2)];
}

export function ascii(view: DataView, offset: number, length: number): string {
  let text = '';
  for (let at = offset; at < offset + length && at < view.byteLength; at++)
    text += String.fromCharCode(view.getUint8(at));
  return text;
}
