/** What is known of an image before it is decoded: its size, the memory that decoding takes, and where it is decoded. */
import { ImageError } from '../errors.ts';
import { refuseLarge } from './decode-failure.ts';
import { formatCount } from './format-count.ts';
import { isoPicture } from './kinds/iso-picture.ts';
import { jpegXlSize } from './kinds/jpeg-xl-size.ts';
import { KIND, type ImageKind } from './kinds/kinds.ts';
import { MAX_SIDE, statedSize } from './kinds/stated-size.ts';
import { readBmpHeader } from './readers/bmp.ts';
import { readIcon } from './readers/icon.ts';
import { embeddedPixels, svgText } from './readers/svg-text.ts';
import { needsArithmetic, vipsPeakBytes } from './readers/vips-pixels.ts';
import { openVips, type VipsSource } from './readers/vips-source.ts';

export type Inspection = {
  /** As what it is decoded from. */
  bytes: Buffer;
  /** As stored; undefined where only the decoder will know. */
  size: { width: number; height: number } | undefined;
  decodedBytes: number;
  /** Where libvips may decode it in this process. */
  here: VipsSource | undefined;
};

/** Images of more pixels are decoded apart: libvips may need seconds for them, in which nothing can stop it. */
const MOST_PIXELS_HERE = 50e6;
/** Of kinds that decode slowly, and of images whose samples go through arithmetic on the main thread. */
const MOST_SLOW_PIXELS_HERE = 8e6;

/** A compressed picture of HEIC, in the codec's form, as RGB, as TIFF and on its way. */
const WASM_BYTES_PER_PIXEL = 24;
/** A picture within a drawing, decoded, and on the surface that it is drawn from (measured). */
const EMBEDDED_BYTES_PER_PIXEL = 10;
/** What a drawing takes by itself, with the layers of its filters. */
const DRAWING_BYTES = 64 * 2 ** 20;

/** Reads the header. @throws ImageError, or what the reader of the header throws for a damaged one */
export async function inspect(kind: ImageKind, bytes: Buffer, maxPixels: number): Promise<Inspection> {
  switch (kind) {
    case KIND.svg:
      return inspectSvg(bytes, maxPixels);
    case KIND.heic: {
      const picture = isoPicture(bytes);
      return apart(bytes, picture?.width === 0 ? undefined : picture, WASM_BYTES_PER_PIXEL);
    }
    case KIND.jpegXl:
      return apart(bytes, jpegXlSize(bytes), WASM_BYTES_PER_PIXEL);
    case KIND.bmp:
      return apart(bytes, readBmpHeader(bytes), 8);
    case KIND.icon:
      return apart(bytes, readIcon(bytes), 8);
    default: {
      refuseAbsurd(kind, bytes, maxPixels);
      const source = await openVips(kind, bytes);
      const { width, height } = source.header;
      return {
        bytes,
        size: { width, height },
        decodedBytes: vipsPeakBytes(source),
        here: isQuick(source) ? source : undefined,
      };
    }
  }
}

/** @throws ImageError for a side that libvips has no number for */
function refuseAbsurd(kind: ImageKind, bytes: Buffer, maxPixels: number): void {
  const size = statedSize(kind, bytes);
  if (size === undefined || Math.max(size.width, size.height) <= MAX_SIDE) return;
  const { width, height } = size;
  const pixels = `${formatCount(width)} x ${formatCount(height)} pixels`;
  throw (
    refuseLarge(width, height, maxPixels) ??
    new ImageError('unreadable-image', `the ${kind.name} is damaged: its header states ${pixels}.`)
  );
}

function isQuick(source: VipsSource): boolean {
  const { width, height } = source.header;
  const slow = source.kind === KIND.avif || needsArithmetic(source);
  return width * height <= (slow ? MOST_SLOW_PIXELS_HERE : MOST_PIXELS_HERE);
}

function apart(bytes: Buffer, size: Inspection['size'], bytesPerPixel: number): Inspection {
  const pixels = size === undefined ? 0 : size.width * size.height;
  return { bytes, size, decodedBytes: pixels * bytesPerPixel, here: undefined };
}

/** The pictures inside a drawing count for the limit; the drawing's own size does when it is opened. */
async function inspectSvg(bytes: Buffer, maxPixels: number): Promise<Inspection> {
  const text = await svgText(bytes);
  const pixels = await embeddedPixels(text);
  // The drawing has a pixel of its own at least.
  if (pixels >= maxPixels) {
    const message =
      `the pictures inside the SVG have ${formatCount(pixels)} pixels, and the limit is ${formatCount(maxPixels)} pixels ` +
      'together with the drawing. Make them smaller, or raise the limit with --max-pixels.';
    throw new ImageError('image-too-large', message);
  }
  const decodedBytes = DRAWING_BYTES + pixels * EMBEDDED_BYTES_PER_PIXEL;
  return { bytes: text, size: undefined, decodedBytes, here: undefined };
}
