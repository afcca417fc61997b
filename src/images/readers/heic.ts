/**
 * HEIC and HEIF by libheif and libde265 as WebAssembly (the package libheif-js, LGPL-3.0); the libvips of sharp has no decoder for HEVC.
 *
 * libheif turns and mirrors the picture by its own boxes, so the Exif orientation beside them counts for nothing. It gives RGB in the colours of
 * the file; profile and code points are handed on.
 */
import { createRequire } from 'node:module';
import { ImageError } from '../../errors.ts';
import { isoPicture, type CodePoints } from '../kinds/iso-picture.ts';
import { rawTiff } from './raw-tiff.ts';

/** What is used of the package, which has no types for this entry. Handles are numbers or objects of its own. */
type Libheif = {
  heif_context_alloc(): unknown;
  heif_context_free(context: unknown): void;
  heif_context_read_from_memory(context: unknown, bytes: Uint8Array): { code: unknown };
  heif_js_context_get_primary_image_handle(context: unknown): unknown;
  heif_image_handle_release(handle: unknown): void;
  heif_image_handle_get_width(handle: unknown): number;
  heif_image_handle_get_height(handle: unknown): number;
  heif_image_handle_has_alpha_channel(handle: unknown): boolean | number;
  heif_image_handle_is_premultiplied_alpha(handle: unknown): boolean | number;
  heif_js_decode_image2(handle: unknown, colorspace: unknown, chroma: unknown): unknown;
  heif_image_release(image: unknown): void;
  heif_error_code: { heif_error_Ok: unknown };
  heif_colorspace: { heif_colorspace_RGB: unknown };
  heif_chroma: Readonly<Record<'RGB' | 'RGBA' | 'RRGGBB_LE' | 'RRGGBBAA_LE', unknown>>;
};

type Plane = { width: number; height: number; stride: number; bits_per_pixel: number; data: Uint8Array };

export type HeicPicture = { file: Buffer; codePoints: CodePoints | undefined };

let library: Libheif | undefined;

/** The picture as a TIFF file (see `raw-tiff.ts`). @throws ImageError where there is none, or libheif cannot decode it */
export function readHeic(bytes: Uint8Array, maxPixels: number): HeicPicture {
  library ??= load();
  const heif = library;
  const context = heif.heif_context_alloc();
  try {
    const { code } = heif.heif_context_read_from_memory(context, bytes);
    if (code !== heif.heif_error_code.heif_error_Ok) throw new Error('libheif cannot read the boxes of the file');
    const handle = heif.heif_js_context_get_primary_image_handle(context);
    if (!isHandle(handle)) throw new Error('the file has no primary image');
    try {
      return decode(heif, handle, bytes, maxPixels);
    } finally {
      heif.heif_image_handle_release(handle);
    }
  } finally {
    heif.heif_context_free(context);
  }
}

function decode(heif: Libheif, handle: unknown, bytes: Uint8Array, maxPixels: number): HeicPicture {
  const [width, height] = [heif.heif_image_handle_get_width(handle), heif.heif_image_handle_get_height(handle)];
  if (width * height > maxPixels)
    throw new ImageError('image-too-large', 'the picture inside is larger than the file says.');
  const iso = isoPicture(bytes);
  const hasAlpha = Boolean(heif.heif_image_handle_has_alpha_channel(handle));
  const wide = (iso?.bits ?? 8) > 8;
  const chroma = heif.heif_chroma[wide ? (hasAlpha ? 'RRGGBBAA_LE' : 'RRGGBB_LE') : hasAlpha ? 'RGBA' : 'RGB'];
  const decoded = heif.heif_js_decode_image2(handle, heif.heif_colorspace.heif_colorspace_RGB, chroma);
  const { image, plane } = interleaved(decoded);
  try {
    const { file, samples } = rawTiff({
      width: plane.width,
      height: plane.height,
      channels: hasAlpha ? 4 : 3,
      bits: wide ? 16 : 8,
      premultiplied: hasAlpha && Boolean(heif.heif_image_handle_is_premultiplied_alpha(handle)),
      icc: iso?.icc,
    });
    const rowBytes = samples.length / plane.height;
    for (let row = 0; row < plane.height; row++)
      samples.set(plane.data.subarray(row * plane.stride, row * plane.stride + rowBytes), row * rowBytes);
    if (wide) widen(samples, plane.bits_per_pixel);
    return { file, codePoints: iso?.codePoints };
  } finally {
    heif.heif_image_release(image);
  }
}

/** Samples of 9 to 16 bits to the full range of 16, little-endian. */
function widen(samples: Uint8Array, bits: number): void {
  const view = new DataView(samples.buffer, samples.byteOffset, samples.byteLength);
  const most = 2 ** bits - 1;
  for (let at = 0; at < samples.length; at += 2)
    view.setUint16(at, Math.round((view.getUint16(at, true) * 65_535) / most), true);
}

/** The one plane of a decoded image. @throws Error with what libheif says where it could not decode */
function interleaved(decoded: unknown): { image: unknown; plane: Plane } {
  if (typeof decoded !== 'object' || decoded === null || !('channels' in decoded) || !('image' in decoded)) {
    const said =
      typeof decoded === 'object' && decoded !== null && 'message' in decoded ? String(decoded.message) : 'nothing';
    throw new Error(`libheif: ${said}`);
  }
  const [plane] = decoded.channels as readonly (Plane | undefined)[];
  if (plane === undefined) throw new Error('libheif decoded no samples');
  return { image: decoded.image, plane };
}

/** Failures are objects with a code. */
function isHandle(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !('code' in value);
}

/** The package is CommonJS, and its WebAssembly lies within its one file. */
function load(): Libheif {
  try {
    const heif = createRequire(import.meta.url)('libheif-js/wasm-bundle') as Libheif;
    const chroma = heif.heif_chroma as Readonly<Record<string, unknown>>;
    const named = (name: string): unknown => chroma[`heif_chroma_interleaved_${name}`];
    const interleavedChroma = {
      RGB: named('RGB'),
      RGBA: named('RGBA'),
      RRGGBB_LE: named('RRGGBB_LE'),
      RRGGBBAA_LE: named('RRGGBBAA_LE'),
    };
    return { ...heif, heif_chroma: interleavedChroma };
  } catch (cause) {
    throw new ImageError('internal', `the decoder for HEIC cannot be loaded (${String(cause)}).`, { cause });
  }
}
