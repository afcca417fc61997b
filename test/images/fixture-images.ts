/** The image fixtures and their goldens, as the tests of this folder need them. */
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { onTestFinished } from 'vitest';
import { SafetensorsFile } from '../../src/importer/read/safetensors.ts';

const FOLDER = fileURLToPath(new URL('../fixtures/images/', import.meta.url));

export type GoldenFile = { width: number; height: number; lossy: boolean; sha256_rgb: string };

const golden = JSON.parse(readFileSync(join(FOLDER, 'golden.json'), 'utf8')) as {
  files: Record<string, GoldenFile>;
};

/** Files of a format that minigpt reads. */
export const READABLE = Object.keys(golden.files);

/** Files whose ICC profile is another colour space than sRGB; their reference is `golden_srgb.safetensors`. */
export const PROFILED = ['icc_p3.png', 'icc_adobergb.jpg', 'tiff_lzw.tif', 'avif.avif'];

export function goldenFile(name: string): GoldenFile {
  const file = golden.files[name];
  if (file === undefined) throw new Error(`golden.json has no ${name}`);
  return file;
}

export function fixture(name: string): string {
  return join(FOLDER, 'files', name);
}

export function decodedFixture(name: string): string {
  return join(FOLDER, 'decoded', `${name}.png`);
}

/** All tensors of a fixture file, which lies there packed with gzip. */
export async function readTensors(name: string): Promise<Map<string, Uint8Array>> {
  const folder = await mkdtemp(join(tmpdir(), 'minigpt-'));
  try {
    const path = join(folder, name);
    await writeFile(path, gunzipSync(await readFile(join(FOLDER, `${name}.gz`))));
    return await tensorsOf(path);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function tensorsOf(path: string): Promise<Map<string, Uint8Array>> {
  const file = await SafetensorsFile.open(path);
  try {
    const tensors = new Map<string, Uint8Array>();
    for (const tensor of file.tensors.values()) tensors.set(tensor.name, await file.read(tensor));
    return tensors;
  } finally {
    await file.close();
  }
}

/** Element by element difference of two images. */
export function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): { max: number; mean: number } {
  if (actual.length !== expected.length) throw new Error(`lengths differ: ${actual.length} and ${expected.length}`);
  let max = 0;
  let sum = 0;
  for (let at = 0; at < actual.length; at++) {
    const distance = Math.abs((actual[at] as number) - (expected[at] as number));
    max = Math.max(max, distance);
    sum += distance;
  }
  return { max, mean: sum / actual.length };
}

/** A fresh folder that is removed when the test ends. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'minigpt-images-'));
  onTestFinished(async () => rm(folder, { recursive: true, force: true }));
  return folder;
}
