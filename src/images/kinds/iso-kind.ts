/** Which kind a file of ISO boxes is: by the brands that it names, and where those leave it open, by the codec of its picture. */
import { boxesIn, fourLetters, isoPicture } from './iso-picture.ts';
import { KIND, type ImageKind } from './kinds.ts';

const AVIF_BRANDS = new Set(['avif', 'avis', 'avio', 'MA1A', 'MA1B']);
const HEIC_BRANDS = new Set(['heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'hevm', 'hevs']);
/** Brands of any codec: a still picture, a sequence of them. */
const OPEN_BRANDS = new Set(['mif1', 'mif2', 'mif3', 'msf1', 'miaf', 'MiHB', 'MiHA', 'MiHE', 'MiPr']);

/** The kind, or undefined for what is no file of ISO boxes. */
export function isoKind(bytes: Uint8Array): ImageKind | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || fourLetters(view, 4) !== 'ftyp') return undefined;
  const [first] = boxesIn(view, 0, view.byteLength);
  if (first === undefined) return KIND.video;
  const brands = brandsOf(view, first);
  const [major = ''] = brands;
  if (major === 'crx ') return KIND.canonRaw;
  if (AVIF_BRANDS.has(major)) return KIND.avif;
  if (HEIC_BRANDS.has(major)) return KIND.heic;
  if (!brands.some((brand) => OPEN_BRANDS.has(brand))) return KIND.video;
  const codec = isoPicture(bytes)?.codec;
  if (codec === 'av01') return KIND.avif;
  if (codec === undefined && brands.some((brand) => AVIF_BRANDS.has(brand))) return KIND.avif;
  return KIND.heic;
}

/** The main brand, and those that the file is compatible with. */
function brandsOf(view: DataView, { start, end }: { start: number; end: number }): string[] {
  const brands: string[] = [];
  for (let at = start; at + 4 <= end; at += 4) if (at !== start + 4) brands.push(fourLetters(view, at));
  return brands;
}
