/** The size in the header of a JPEG XL file (ISO/IEC 18181-1, size header), bare or in boxes. */
import { boxesIn } from './iso-picture.ts';

/** Width and height as stored, or undefined where the header is not whole. */
export function jpegXlSize(bytes: Uint8Array): { width: number; height: number } | undefined {
  const start = codestreamAt(bytes);
  if (start === undefined || start + 12 > bytes.length) return undefined;
  let at = start * 8;
  const bits = (count: number): number => {
    let value = 0;
    for (let index = 0; index < count; index++, at++) value += (((bytes[at >> 3] ?? 0) >> (at & 7)) & 1) * 2 ** index;
    return value;
  };
  const small = bits(1) === 1;
  const side = (): number => (small ? 8 * (bits(5) + 1) : 1 + bits([9, 13, 18, 30][bits(2)] ?? 9));
  const height = side();
  const RATIOS = [[1, 1], [1, 1], [12, 10], [4, 3], [3, 2], [16, 9], [5, 4], [2, 1]] as const; // prettier-ignore
  const ratio = bits(3);
  const [across, down] = RATIOS[ratio] ?? [1, 1];
  return { width: ratio === 0 ? side() : Math.trunc((height * across) / down), height };
}

/** Behind the two bytes that begin the codestream. */
function codestreamAt(bytes: Uint8Array): number | undefined {
  if (bytes[0] === 0xff) return 2;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const { type, start } of boxesIn(view, 0, view.byteLength)) {
    if (type === 'jxlc') return start + 2;
    if (type === 'jxlp') return start + 4 + 2;
  }
  return undefined;
}
