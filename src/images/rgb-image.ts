/** A decoded image: upright, 8-bit sRGB, no alpha, at the size it was stored in. */
export type RgbImage = {
  width: number;
  height: number;
  /** Interleaved R, G, B samples, row by row from the top: `width * height * 3` bytes. */
  data: Uint8Array;
};

/** What may be wrong with an image that was decoded all the same: data inside a JPEG is damaged, so part of the picture is not what it was. */
export type ImageWarning = 'damaged';

export type DecodedImage = RgbImage & { warnings: readonly ImageWarning[] };
