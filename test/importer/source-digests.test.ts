/** The checksums that a thread makes of the sources while they are imported. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { CheckpointError } from '../../src/errors.ts';
import { digestFile } from '../../src/pack/file-digest.ts';
import { SourceDigests } from '../../src/importer/source-digests.ts';
import { requireFreshBuild } from '../fresh-build.ts';

const ENTRY = new URL('../../dist/importer/digest-worker.js', import.meta.url);
requireFreshBuild();

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-digests-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** Files of these lengths. */
async function makeFiles(...lengths: number[]): Promise<string[]> {
  const paths = lengths.map((_, index) => join(folder, `${index}.bin`));
  for (const [index, length] of lengths.entries()) await writeFile(paths[index] ?? '', Buffer.alloc(length, index + 1));
  return paths;
}

function start(paths: readonly string[]): SourceDigests {
  const digests = new SourceDigests(paths, ENTRY);
  onTestFinished(async () => digests.close());
  return digests;
}

test('are those of the files, an empty one included, however far the thread was told to go before', async () => {
  const paths = await makeFiles(3_000_000, 0, 70_000_001, 17);
  for (const steps of [[], [1], [2 ** 26, 2 ** 26, 2 ** 26]]) {
    const digests = start(paths);
    for (const bytes of steps) digests.advance(bytes);
    const found = await digests.finish();
    for (const path of paths) expect(found.get(path)).toEqual({ path, ...(await digestFile(path)) });
  }
});

test('name the file that cannot be read', async () => {
  const [path = ''] = await makeFiles(10);
  const digests = start([path, `${path}.gone`]);
  const error = await digests.finish().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(CheckpointError);
  expect(error).toMatchObject({ path: `${path}.gone` });
});

test('are given up at once when the import is aborted', async () => {
  const digests = start(await makeFiles(10));
  await expect(digests.finish(AbortSignal.abort())).rejects.toThrow(/abort/i);
  const controller = new AbortController();
  const finished = digests.finish(controller.signal);
  controller.abort();
  await expect(finished).rejects.toThrow(/abort/i);
});

test('are not there when the thread is closed before', async () => {
  const digests = new SourceDigests(await makeFiles(10), ENTRY);
  await digests.close();
  await expect(digests.finish()).rejects.toThrow('the thread that hashes the sources was closed before it answered');
});
