/** What becomes of transparency, and of other samples beside the colour. */

/** Composited on a colour, or dropped, which uncovers whatever colour the transparent pixels have. */
export type AlphaRule = 'white' | 'black' | 'drop';

/** Which of the channels of a pixel is its alpha, and what becomes of it. */
export type Alpha = { channel: number | undefined; rule: AlphaRule };

/**
 * 8-bit grey or RGB with any number of channels beside it to RGB, in place where the result is not larger.
 *
 * @param colours 1 or 3: the first channels of a pixel, which are its colour
 */
export function flattenLevels(
  samples: Uint8Array,
  pixels: number,
  channels: number,
  colours: 1 | 3,
  alpha: Alpha,
): Uint8Array {
  if (channels === 3 && colours === 3) return samples;
  const rgb = channels > 3 ? samples.subarray(0, pixels * 3) : new Uint8Array(pixels * 3);
  const background = alpha.rule === 'black' ? 0 : 255;
  const alphaChannel = alpha.rule === 'drop' ? undefined : alpha.channel;
  const [green, blue] = colours === 3 ? [1, 2] : [0, 0];
  for (let pixel = 0, from = 0, to = 0; pixel < pixels; pixel++, from += channels, to += 3) {
    const opacity = alphaChannel === undefined ? 255 : (samples[from + alphaChannel] as number);
    const behind = background * (255 - opacity);
    const [r, g, b] = [samples[from] as number, samples[from + green] as number, samples[from + blue] as number];
    rgb[to] = Math.round((r * opacity + behind) / 255);
    rgb[to + 1] = Math.round((g * opacity + behind) / 255);
    rgb[to + 2] = Math.round((b * opacity + behind) / 255);
  }
  return rgb;
}

/** Lays converted RGB on the background, in place; `samples` are those that it was converted from. */
export function compositeAlpha(
  rgb: Uint8Array,
  pixels: number,
  samples: Uint8Array | Uint16Array,
  channels: number,
  { channel, rule }: Alpha,
): void {
  if (rule === 'drop' || channel === undefined) return;
  const background = rule === 'white' ? 255 : 0;
  const isWide = samples instanceof Uint16Array;
  for (let pixel = 0; pixel < pixels; pixel++) {
    const sample = samples[pixel * channels + channel] as number;
    const opacity = isWide ? Math.trunc((sample + 128) / 257) : sample;
    if (opacity === 255) continue;
    const behind = background * (255 - opacity);
    for (let at = pixel * 3; at < pixel * 3 + 3; at++)
      rgb[at] = Math.round(((rgb[at] as number) * opacity + behind) / 255);
  }
}
