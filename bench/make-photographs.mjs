#!/usr/bin/env node
/**
 * Makes as many distinct photographs as a benchmark needs from the few there are: random crops, mirrored or not, a little brighter or
 * darker, blown up or down to the wanted size, with sensor noise so that a large file has the detail and the bytes of one from a camera.
 * The same arguments make the same files.
 *
 *     node bench/make-photographs.mjs --from examples/photos --out /tmp/bench-photos/small --count 1000 --width 224 --height 224
 *     node bench/make-photographs.mjs --from examples/photos --out /tmp/bench-photos/camera --count 100 --width 4000 --height 3000
 */
import { mkdir, readdir, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { extname, join } from 'node:path';
import { parseArgs } from 'node:util';
import sharp from 'sharp';

const ENDINGS = new Set(['.jpg', '.jpeg', '.png', '.webp', '.tif', '.tiff']);

/**
 * Standard deviation of the noise in grey levels. Small pictures come out of shrinking, which hides noise. Large ones are blown up from photographs
 * with less detail than a camera's, so they get more than a camera's noise: enough for the 3 to 5 MB that 12 megapixels have.
 */
const NOISE = { small: 1.5, camera: 8 };

const CAMERA_PIXELS = 2_000_000;

/**
 * Random numbers of [0, 1) from a seed (mulberry32), so that every machine measures the same pictures.
 *
 * @param {number} seed
 * @returns {() => number}
 */
function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * One photograph: a random part of `source` in the wanted size.
 *
 * @param {string} source
 * @param {{ width: number, height: number, quality: number }} size
 * @param {() => number} random
 * @param {string} target
 */
async function makePhotograph(source, { width, height, quality }, random, target) {
  const image = sharp(source);
  const { width: fullWidth, height: fullHeight } = await image.metadata();
  // The largest part with the wanted proportions, or as little as 60 % of it.
  const scale = Math.min(fullWidth / width, fullHeight / height) * (0.6 + 0.4 * random());
  const part = { width: Math.max(1, Math.floor(width * scale)), height: Math.max(1, Math.floor(height * scale)) };
  const left = Math.floor(random() * (fullWidth - part.width));
  const top = Math.floor(random() * (fullHeight - part.height));
  const data = await image
    .removeAlpha()
    .toColourspace('srgb')
    .extract({ left, top, ...part })
    .flop(random() < 0.5)
    .modulate({ brightness: 0.85 + 0.3 * random() })
    .resize(width, height, { fit: 'fill', kernel: 'cubic' })
    .raw()
    .toBuffer();
  addNoise(data, width * height > CAMERA_PIXELS ? NOISE.camera : NOISE.small, random);
  const channels = data.length / (width * height) === 1 ? 1 : 3;
  await sharp(data, { raw: { width, height, channels } }).jpeg({ quality }).toFile(target);
}

/** Normal noise, read from random places: a fresh number for each of 36 million samples would take seconds. */
const noiseTable = makeNoise(65_536, randomFrom(0));

/**
 * @param {Buffer} pixels
 * @param {number} deviation
 * @param {() => number} random
 */
function addNoise(pixels, deviation, random) {
  let place = 0;
  for (let i = 0; i < pixels.length; i++) {
    // Another place often enough that no pattern shows.
    if (i % 4096 === 0) place = Math.floor(random() * noiseTable.length);
    const noise = deviation * (noiseTable[(place + i) % noiseTable.length] ?? 0);
    pixels[i] = Math.max(0, Math.min(255, Math.round((pixels[i] ?? 0) + noise)));
  }
}

/**
 * @param {number} length
 * @param {() => number} random
 */
function makeNoise(length, random) {
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Float32Array.from({ length }, normal);
}

/**
 * @param {string | undefined} text
 * @param {string} name
 */
function wholeNumber(text, name) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} should be a whole number of at least 1.`);
  return value;
}

const { values } = parseArgs({
  options: {
    from: { type: 'string' },
    out: { type: 'string' },
    count: { type: 'string' },
    width: { type: 'string' },
    height: { type: 'string' },
    quality: { type: 'string', default: '90' },
    seed: { type: 'string', default: '1' },
  },
});
const { from, out } = values;
if (from === undefined || out === undefined) {
  throw new Error('Use: node bench/make-photographs.mjs --from DIR --out DIR --count N --width W --height H');
}
const count = wholeNumber(values.count, 'count');
const size = {
  width: wholeNumber(values.width, 'width'),
  height: wholeNumber(values.height, 'height'),
  quality: wholeNumber(values.quality, 'quality'),
};
const seed = wholeNumber(values.seed, 'seed');

const sources = (await readdir(from))
  .filter((name) => ENDINGS.has(extname(name).toLowerCase()))
  .toSorted()
  .map((name) => join(from, name));
if (sources.length === 0) throw new Error(`${from} holds no photographs.`);
await mkdir(out, { recursive: true });

let next = 0;
let bytes = 0;
await Promise.all(
  Array.from({ length: availableParallelism() }, async () => {
    while (next < count) {
      const index = next++;
      const target = join(out, `${String(index).padStart(String(count - 1).length, '0')}.jpg`);
      // Every picture has its own numbers, whichever of the workers makes it.
      const random = randomFrom(seed * 1_000_003 + index);
      await makePhotograph(sources[index % sources.length] ?? '', size, random, target);
      bytes += (await stat(target)).size;
    }
  }),
);
console.log(
  `${count} photographs of ${size.width}x${size.height} in ${out}, ${Math.round(bytes / count / 1024)} KiB each on average.`,
);
