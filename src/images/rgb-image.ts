/** A decoded image: upright, 8-bit sRGB, no alpha, at the size it was stored in. */
export type RgbImage = {
  width: number;
  height: number;
  /** Interleaved R, G, B samples, row by row from the top: `width * height * 3` bytes. */
  data: Uint8Array;
};
