/**
 * Samples that are no levels of brightness by themselves: floating point, signed and 32-bit ones, as TIFF files hold them.
 *
 * The rule, for all samples of the colour of a picture together:
 *
 * - unsigned 32-bit samples are levels of 8, 16 or 32 bits, whichever is the smallest that holds the largest sample;
 * - floating point from 0 to 1 is 0 to 1;
 * - floating point and signed numbers from 0 to 255, the largest above 31, are 8-bit levels;
 * - everything else (heights, temperatures, light of a scene) is stretched from the smallest to the largest sample.
 *
 * Numbers that are none, and the value that a file names as "no value", count for nothing and become black.
 */

export type Numbers = Float32Array | Uint32Array | Int32Array | Int16Array | Int8Array;

/** `offset` is taken off a sample, and what is left is multiplied by `factor`, to become a level of 0 to 65,535. */
type Scale = { offset: number; factor: number };

const FULL = 65_535;

/**
 * Scales samples to 16 bits.
 *
 * @param channels to a pixel, of which the first `colours` are the colour and those behind may be alpha
 */
export function scaleMeasured(
  samples: Numbers,
  channels: number,
  colours: number,
  noData: number | undefined,
): Uint16Array {
  const levels = new Uint16Array(samples.length);
  const colour = scaleOf(samples, range(samples, channels, 0, colours, noData));
  // Alpha has a range of its own; what it is stretched from is always 0.
  const other = scaleOf(samples, { ...range(samples, channels, colours, channels, undefined), least: 0 });
  for (let at = 0, channel = 0; at < samples.length; at++) {
    const sample = samples[at] as number;
    const { offset, factor } = channel < colours ? colour : other;
    const level = sample === noData ? 0 : (sample - offset) * factor;
    levels[at] = level > 0 ? Math.min(Math.round(level), FULL) : 0;
    channel = channel + 1 === channels ? 0 : channel + 1;
  }
  return levels;
}

type Range = { least: number; most: number };

function range(samples: Numbers, channels: number, from: number, to: number, noData: number | undefined): Range {
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (let pixel = 0; pixel < samples.length; pixel += channels) {
    for (let channel = from; channel < to; channel++) {
      const sample = samples[pixel + channel] as number;
      if (sample === noData || !Number.isFinite(sample)) continue;
      if (sample < least) least = sample;
      if (sample > most) most = sample;
    }
  }
  return { least, most };
}

function scaleOf(samples: Numbers, { least, most }: Range): Scale {
  const DARKEST_WHITE = 31;
  if (samples instanceof Uint32Array) {
    const full = [255, 65_535].find((limit) => most <= limit) ?? 4_294_967_295;
    return { offset: 0, factor: FULL / full };
  }
  if (least >= 0 && most <= 1 && samples instanceof Float32Array) return { offset: 0, factor: FULL };
  if (least >= 0 && most <= 255 && most > DARKEST_WHITE) return { offset: 0, factor: FULL / 255 };
  // A picture of one value alone, or of none, is black.
  return { offset: least, factor: most > least ? FULL / (most - least) : 0 };
}

/** 16-bit samples to 8 bits, each `round(v / 257)`, in the first half of the same memory. */
export function narrowSamples(wide: Uint16Array): Uint8Array {
  const narrow = new Uint8Array(wide.buffer, wide.byteOffset, wide.length);
  for (let at = 0; at < wide.length; at++) narrow[at] = Math.trunc(((wide[at] as number) + 128) / 257);
  return narrow;
}
