/**
 * SVG by librsvg. A drawing has no pixels of its own: it is drawn at the size that the model wants, small icons larger and large drawings smaller
 * than they say.
 */
import type { SharpOptions } from 'sharp';
import { sharp } from '../load-sharp.ts';
import { refuseLarge } from '../decode-failure.ts';
import type { VipsSource } from './vips-source.ts';
import { KIND } from '../kinds/kinds.ts';

/** Dots per inch at which a pixel of the drawing is a pixel of the image. */
const OWN_DENSITY = 72;
const MAX_DENSITY = 100_000;
/** libxml2 takes no text node or attribute above this size, a picture inside included, unless it is told to. */
const USUAL_TEXT_BYTES = 9_000_000;

/**
 * The drawing for libvips, at its own size, or where a side is given, at a size that fits it.
 *
 * @param svg in UTF-8 (see `svg-text.ts`)
 * @throws ImageError for a drawing of more pixels than `maxPixels` at its own size; what libvips throws for a damaged one
 */
export async function openSvg(svg: Buffer, maxPixels: number, side: number | undefined): Promise<VipsSource> {
  const options: SharpOptions = {
    failOn: 'error',
    limitInputPixels: false,
    ...(svg.length > USUAL_TEXT_BYTES ? { unlimited: true } : {}),
  };
  const header = await sharp(svg, options).metadata();
  const tooLarge = refuseLarge(header.width, header.height, maxPixels);
  if (tooLarge !== undefined) throw tooLarge;
  const scale = side === undefined ? 1 : drawingScale(header.width, header.height, side);
  const density = Math.min(Math.max(OWN_DENSITY * scale, 1), MAX_DENSITY);
  return {
    kind: KIND.svg,
    bytes: svg,
    options: { ...options, density },
    header,
    tiff: undefined,
    codePoints: undefined,
  };
}

/**
 * How much larger than its own size a drawing is drawn: its shorter side becomes the side that is wanted. A long one is not made longer than
 * four of those sides for that, and one that is longer than eight is made shorter.
 */
export function drawingScale(width: number, height: number, side: number): number {
  const [shorter, longer] = [Math.min(width, height), Math.max(width, height)];
  const fitting = side / shorter;
  if (fitting > 1) return Math.max(Math.min(fitting, (4 * side) / longer), 1);
  return longer <= 8 * side ? 1 : Math.max((4 * side) / longer, fitting);
}
