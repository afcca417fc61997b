/** What may lie in the place of a small file, or of a large one. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SafetensorsFile } from '../../../src/importer/read/safetensors.ts';
import { readSmallFile } from '../../../src/importer/read/small-file.ts';
import { convertTokenizerFolder } from '../../../src/importer/tokenizer/tokenizer-folder.ts';

const POINTER = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 1234567\n`;

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-small-file-'));
  path = join(folder, 'config.json');
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

test('a file is read whole, and one that is not there is undefined', async () => {
  await writeFile(path, '{}');
  expect((await readSmallFile(path))?.toString()).toBe('{}');
  expect(await readSmallFile(join(folder, 'none'))).toBeUndefined();
});

test('a named pipe in its place is refused instead of waited for', async () => {
  execFileSync('mkfifo', [path]);
  await expect(readSmallFile(path)).rejects.toThrow(`${path}: this is not a file.`);
});

test('a file that is larger than any of its kind is refused before it is read', async () => {
  await writeFile(path, '{}');
  await truncate(path, 2 ** 30);
  await expect(readSmallFile(path)).rejects.toThrow(
    /has 1073741824 bytes, but a file of this name has at most 268435456/,
  );
});

describe('a Git LFS pointer is named, with what to do', () => {
  test('in the place of a config', async () => {
    await writeFile(path, POINTER);
    await expect(readSmallFile(path)).rejects.toThrow(
      `${path}: this is a Git LFS pointer, which only names the file. Run "git lfs pull" in the clone, or download the file itself.`,
    );
  });

  test.each(['tokenizer.model', 'spiece.model', 'vocab.json', 'vocab.txt', 'tokenizer_config.json'])(
    'in the place of %s',
    async (name) => {
      await writeFile(join(folder, name), POINTER);
      await expect(convertTokenizerFolder(folder)).rejects.toThrow(new RegExp(`${name}: this is a Git LFS pointer`));
    },
  );

  test('in the place of safetensors', async () => {
    const weights = join(folder, 'model.safetensors');
    await writeFile(weights, POINTER);
    await expect(SafetensorsFile.open(weights)).rejects.toThrow(
      /this is not a safetensors file: it is a Git LFS pointer, which only names the file\. Run "git lfs pull"/,
    );
  });
});

test('a web page in the place of safetensors is named', async () => {
  const weights = join(folder, 'model.safetensors');
  await writeFile(weights, '<!DOCTYPE html><html><body>Please log in</body></html>');
  await expect(SafetensorsFile.open(weights)).rejects.toThrow(/it is a web page/);
});
