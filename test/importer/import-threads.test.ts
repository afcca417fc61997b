/** A whole import in threads, from the compiled program: the same pack to the last byte, and nothing left running. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type * as Importer from '../../src/importer/import-checkpoint.ts';
import { encodingThreads } from '../../src/importer/import-checkpoint.ts';
import { PRECISIONS } from '../../src/pack/model-declaration.ts';
import { requireFreshBuild } from '../fresh-build.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures');
const compiled = new URL('../../dist/importer/import-checkpoint.js', import.meta.url);
requireFreshBuild();
const { importCheckpoint } = (await import(compiled.href)) as typeof Importer;

const LAVIS = {
  sources: ['eva_vit_g.pth', 'opt-2.7b', 'blip2_pretrained_opt2.7b.pth'].map((name) =>
    join(FIXTURES, 'lavis-blip2-opt', name),
  ),
  config: join(FIXTURES, 'lavis-blip2-opt/architecture.json'),
};
const HUB = { sources: [join(FIXTURES, 'hf-blip2-opt/model')] };

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-import-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function importedWith(options: Omit<Importer.ImportOptions, 'id'>): Promise<{ name: string; bytes: string }[]> {
  const directory = await mkdtemp(join(folder, 'pack-'));
  await importCheckpoint(directory, { id: 'tiny', ...options });
  const names = (await readdir(directory)).toSorted();
  return Promise.all(names.map(async (name) => ({ name, bytes: await readFile(join(directory, name), 'latin1') })));
}

test.each(PRECISIONS)('the pack in %s does not depend on the number of threads', async (precision) => {
  const alone = await importedWith({ ...HUB, precision, threads: 0 });
  expect(alone.map(({ name }) => name)).toContain('model.json');
  for (const threads of [1, 3]) expect(await importedWith({ ...HUB, precision, threads })).toEqual(alone);
});

test('nor that of several PyTorch files, whose checksums are made on the way', async () => {
  const alone = await importedWith({ ...LAVIS, precision: 'int8', threads: 0 });
  expect(await importedWith({ ...LAVIS, precision: 'int8', threads: 2 })).toEqual(alone);
});

test('an abort while the weights are written ends the import and its threads', async () => {
  const controller = new AbortController();
  const importing = importedWith({
    ...HUB,
    precision: 'fp32',
    threads: 2,
    signal: controller.signal,
    onBytes: () => controller.abort(),
  });
  await expect(importing).rejects.toThrow(/abort/i);
});

test('threads are started for large models only, and no more than eight', () => {
  expect(encodingThreads(13_000_000)).toBe(0);
  expect(encodingThreads(3_700_000_000)).toBe(Math.min(availableParallelism(), 8));
});
