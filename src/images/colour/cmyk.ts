/** CMYK without a profile, as Pillow converts it: each ink dims what black lets through. */

/**
 * @param samples of 8 bits, cyan, magenta, yellow and black before anything else
 * @returns three samples of RGB per pixel
 */
export function cmykToRgb(samples: Uint8Array, pixels: number, channels: number): Uint8Array {
  const rgb = new Uint8Array(pixels * 3);
  for (let pixel = 0, from = 0, to = 0; pixel < pixels; pixel++, from += channels, to += 3) {
    const light = 255 - (samples[from + 3] as number);
    for (let ink = 0; ink < 3; ink++)
      rgb[to + ink] = light - Math.round(((samples[from + ink] as number) * light) / 255);
  }
  return rgb;
}
