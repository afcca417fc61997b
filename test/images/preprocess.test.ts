import { describe, expect, test } from 'vitest';
import { decodeImage } from '../../src/images/decode.ts';
import { loadPixelValues } from '../../src/images/pixel-values.ts';
import { preprocessImage } from '../../src/images/preprocess.ts';
import { resampleBicubic } from '../../src/images/resample.ts';
import type { ImageDeclaration } from '../../src/pack/model-declaration.ts';
import { difference, fixture, PROFILED, READABLE, readTensors } from './fixture-images.ts';

const limits = { maxPixels: 268_000_000 };
const golden56 = await readTensors('golden_56.safetensors');
const golden224 = await readTensors('golden_224.safetensors');
const goldenSrgb = await readTensors('golden_srgb.safetensors');
const referencePixelValues = await readTensors('pixel_values.safetensors');

/** The published values of BLIP-2. */
function declaration(imageSize: number): ImageDeclaration {
  return {
    imageSize,
    rescaleFactor: 1 / 255,
    imageMean: [0.48145466, 0.4578275, 0.40821073],
    imageStd: [0.26862954, 0.26130258, 0.27577711],
  };
}

const cases = [56, 224].flatMap((size) =>
  READABLE.flatMap((name) => {
    const golden = PROFILED.includes(name)
      ? goldenSrgb.get(`${size}/${name}`)
      : (size === 56 ? golden56 : golden224).get(name);
    return golden === undefined ? [] : [{ size, name, golden }];
  }),
);

describe('decoding and resizing', () => {
  const identical = cases.filter(({ name }) => !PROFILED.includes(name));
  const converted = cases.filter(({ name }) => PROFILED.includes(name));

  test.each(identical)('$name at $size has the pixels of Pillow, bit for bit', async ({ size, name, golden }) => {
    const { data } = await resampleBicubic(await decodeImage(fixture(name), limits), size, size);
    expect(difference(data, golden)).toEqual({ max: 0, mean: 0 });
  });

  /** Largest mean difference. The AVIF decoders enlarge chroma planes differently: 0.80 before, 0.91 after conversion and resizing. */
  const tolerance: Record<string, number> = { 'avif.avif': 0.95 };

  test.each(converted)(
    '$name at $size, converted from its profile, is close to Pillow',
    async ({ size, name, golden }) => {
      const { data } = await resampleBicubic(await decodeImage(fixture(name), limits), size, size);
      const { max, mean } = difference(data, golden);
      expect(mean).toBeLessThan(tolerance[name] ?? 0.03);
      expect(max).toBeLessThanOrEqual(name in tolerance ? 45 : 2);
    },
  );

  test('a size that is there already is left untouched', async () => {
    const image = await decodeImage(fixture('exact_56.png'), limits);
    expect(await resampleBicubic(image, 56, 56)).toBe(image);
  });

  test('one colour stays that colour at any size', async () => {
    const data = new Uint8Array(7 * 5 * 3).fill(0).map((_, at) => [3, 130, 255][at % 3] as number);
    for (const [width, height] of [
      [1, 1],
      [224, 3],
      [6, 200],
    ] as const) {
      const resized = await resampleBicubic({ width: 7, height: 5, data }, width, height);
      expect([resized.width, resized.height]).toEqual([width, height]);
      expect(resized.data.every((value, at) => value === [3, 130, 255][at % 3])).toBe(true);
    }
  });
});

describe('pixel values', () => {
  test.each([...referencePixelValues.keys()])('%s equals the image processor of transformers', async (key) => {
    const [size, name] = key.split('/') as [string, string];
    const expected = new Float32Array(Uint8Array.from(referencePixelValues.get(key) ?? []).buffer);
    const actual = await loadPixelValues(fixture(name), declaration(Number(size)), limits);
    // Float32 arithmetic on values up to 2.7.
    expect(difference(actual, expected).max).toBeLessThan(1e-6);
  });

  test('come channel by channel', async () => {
    const image = { width: 2, height: 1, data: Uint8Array.of(0, 51, 102, 153, 204, 255) };
    const plain: ImageDeclaration = {
      imageSize: 2,
      rescaleFactor: 1 / 255,
      imageMean: [0, 0, 0.5],
      imageStd: [1, 1, 2],
    };
    const values = await preprocessImage(
      { ...image, height: 2, data: Uint8Array.of(...image.data, ...image.data) },
      plain,
    );
    const expected = [0, 0.6, 0, 0.6, 0.2, 0.8, 0.2, 0.8, -0.05, 0.25, -0.05, 0.25];
    expect(difference(values, expected).max).toBeLessThan(1e-7);
  });

  test('are the same when many images are loaded at once', async () => {
    const names = READABLE.slice(0, 12);
    const alone: Float32Array[] = [];
    for (const name of names) alone.push(await loadPixelValues(fixture(name), declaration(56), limits));
    const together = await Promise.all(names.map((name) => loadPixelValues(fixture(name), declaration(56), limits)));
    expect(together).toEqual(alone);
  });

  test('are not loaded once the signal is aborted', async () => {
    const reason = new Error('interrupted');
    const loading = loadPixelValues(fixture('chelsea.png'), declaration(56), limits, AbortSignal.abort(reason));
    await expect(loading).rejects.toBe(reason);
  });
});
