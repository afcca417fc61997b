/**
 * libvips collects its messages in one place for all images that are decoded at the same time. Truncated files that were decoded side by
 * side were reported as "damaged (Unknown error)", depending on which thread came first.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { decodeImage } from '../../src/images/decode.ts';
import { fixture, temporaryFolder } from '../images/fixture-images.ts';

test('truncated images that are decoded at the same time are each reported as truncated, with their own length', async () => {
  const folder = await temporaryFolder();
  const sources = ['jpeg_420.jpg', 'jpeg_progressive.jpg', 'astronaut.png', 'webp_lossy.webp', 'tiff_lzw.tif'];
  const cut = await Promise.all(
    Array.from({ length: 48 }, async (_, index) => {
      const name = sources[index % sources.length] ?? '';
      const bytes = await readFile(fixture(name));
      const length = Math.floor(bytes.length / 2) + index;
      const path = join(folder, `${index}-${name}`);
      await writeFile(path, bytes.subarray(0, length));
      return { path, length };
    }),
  );
  const failures = await Promise.all(
    cut.map(async ({ path }) => decodeImage(path, { maxPixels: 1e6 }).catch((error: unknown) => error)),
  );
  for (const [index, failure] of failures.entries()) {
    const length = new Intl.NumberFormat('en').format(cut[index]?.length ?? 0);
    expect(failure, cut[index]?.path).toMatchObject({
      code: 'truncated-image',
      message: expect.stringContaining(`ends after ${length} bytes`) as string,
    });
  }
});
