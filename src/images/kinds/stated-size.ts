/**
 * The size in the header of a file whose format has room for absurd ones. libvips takes no side above 100 million pixels, and complains of one on
 * stderr, by itself.
 */
import { isoPicture } from './iso-picture.ts';
import { KIND, type ImageKind } from './kinds.ts';
import { numberOf, readTiff, TAG } from './tiff-directory.ts';
import { tiffPicture } from './tiff-picture.ts';

export type StatedSize = { width: number; height: number };

export const MAX_SIDE = 100_000_000;

/** Width and height as stored; undefined for formats that hold no absurd ones, and where the header is not whole. */
export function statedSize(kind: ImageKind, bytes: Uint8Array): StatedSize | undefined {
  switch (kind) {
    case KIND.png: {
      const IHDR = 0x49484452;
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      if (bytes.length < 24 || view.getUint32(12) !== IHDR) return undefined;
      return { width: view.getUint32(16), height: view.getUint32(20) };
    }
    case KIND.tiff: {
      const file = readTiff(bytes);
      const picture = file === undefined ? undefined : tiffPicture(file);
      if (file === undefined || picture === undefined) return undefined;
      const side = (tag: number): number => numberOf(file, picture.directory, tag) ?? 0;
      return { width: side(TAG.imageWidth), height: side(TAG.imageLength) };
    }
    case KIND.avif:
      return isoPicture(bytes);
    default:
      return undefined;
  }
}
