/** CIE L*a*b* relative to D50, as TIFF files hold it, to sRGB. */
import { srgbLevels } from './matrix-profile.ts';

/** XYZ relative to D50 to linear sRGB. */
const TO_SRGB = [3.134_135_9, -1.617_386_4, -0.490_661_9, -0.978_795_5, 1.916_254_4, 0.033_442_7, 0.071_955_4, -0.228_976_8, 1.405_386_4] as const; // prettier-ignore
const WHITE_X = 0.9642;
const WHITE_Z = 0.8249;

/**
 * @param samples of 8 or 16 bits, L*, a* and b* before anything else, as they stand in the file
 * @param signed whether a* and b* are two's complement (CIELab), or have their zero in the middle (ICCLab)
 * @returns three 8-bit samples of sRGB per pixel
 */
export function labToSrgb(
  samples: Uint8Array | Uint16Array,
  pixels: number,
  channels: number,
  signed: boolean,
): Uint8Array {
  const [levels, unit] = samples instanceof Uint8Array ? [256, 1] : [65_536, 256];
  const half = levels / 2;
  const axis = (sample: number): number => (signed ? (sample < half ? sample : sample - levels) : sample - half) / unit;
  const rgb = new Uint8Array(pixels * 3);
  const encode = srgbLevels();
  for (let pixel = 0, from = 0, to = 0; pixel < pixels; pixel++, from += channels, to += 3) {
    const lightness = ((samples[from] as number) / (levels - 1)) * 100;
    const fy = (lightness + 16) / 116;
    const x = WHITE_X * cubed(fy + axis(samples[from + 1] as number) / 500);
    const y = cubed(fy);
    const z = WHITE_Z * cubed(fy - axis(samples[from + 2] as number) / 200);
    for (let channel = 0; channel < 3; channel++) {
      const row = channel * 3;
      const linear = (TO_SRGB[row] as number) * x + (TO_SRGB[row + 1] as number) * y + (TO_SRGB[row + 2] as number) * z;
      rgb[to + channel] = encode[Math.round(Math.min(Math.max(linear, 0), 1) * 65_535)] as number;
    }
  }
  return rgb;
}

function cubed(root: number): number {
  const THRESHOLD = 6 / 29;
  return root > THRESHOLD ? root ** 3 : 3 * THRESHOLD ** 2 * (root - 4 / 29);
}
