import { appendFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PackError } from '../../src/errors.ts';
import { readPack, type Pack } from '../../src/pack/model-declaration.ts';
import { verifyPack, type FileCheck } from '../../src/store/verify.ts';
import { sha256, writePack } from './pack-folder.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'minigpt-verify-'));
});
afterEach(async () => rm(directory, { recursive: true }));

async function packOf(files: Record<string, string>): Promise<Pack> {
  await writePack(directory, 'x', files);
  return readPack(directory);
}

test('a whole pack is confirmed file by file, in the declared order', async () => {
  const pack = await packOf({ 'b.onnx': 'bb', 'a.onnx': '', 'c.bin': 'x'.repeat(3_000_000) });
  const seen: FileCheck[] = [];
  const checks = await verifyPack(pack, (check) => seen.push(check));
  expect(checks.map(({ path, ok }) => [path, ok])).toEqual([
    ['b.onnx', true],
    ['a.onnx', true],
    ['c.bin', true],
  ]);
  expect(seen).toEqual(checks);
});

test('an altered file is found, also where its size is the same', async () => {
  const pack = await packOf({ a: 'abc', b: 'abc' });
  await writeFile(join(directory, 'a'), 'abd');
  await appendFile(join(directory, 'b'), 'd');
  const [a, b] = await verifyPack(pack);
  const expected = { bytes: 3, sha256: sha256('abc') };
  expect(a).toEqual({ path: 'a', expected, found: { bytes: 3, sha256: sha256('abd') }, ok: false });
  expect(b).toEqual({ path: 'b', expected, found: { bytes: 4, sha256: sha256('abcd') }, ok: false });
});

test('a missing file is found', async () => {
  const pack = await packOf({ a: 'abc', 'sub/b': 'abc' });
  await rm(join(directory, 'a'));
  await rm(join(directory, 'sub'), { recursive: true });
  expect((await verifyPack(pack)).map(({ found, ok }) => [found, ok])).toEqual([
    ['missing', false],
    ['missing', false],
  ]);
});

test('files that nobody declared are reported, and do not make the pack bad', async () => {
  const pack = await packOf({ a: 'abc' });
  await mkdir(join(directory, 'sub'));
  await writeFile(join(directory, 'sub', 'note.txt'), 'hello');
  await symlink('/nowhere/at/all', join(directory, 'broken link'));
  expect((await verifyPack(pack)).slice(1)).toEqual([
    { path: 'sub/note.txt', expected: undefined, found: { bytes: 5, sha256: sha256('hello') }, ok: true },
  ]);
});

test.each(['../secret', '/etc/passwd', 'a/../../b', String.raw`..\secret`, ''])(
  'a declared path that leads out of the pack (%j) is refused',
  async (path) => {
    const pack = await packOf({ a: 'abc' });
    const declaration = { ...pack.declaration, files: [{ path, bytes: 0, sha256: sha256('') }] };
    await expect(verifyPack({ ...pack, declaration })).rejects.toThrow(PackError);
  },
);

test('a directory in place of a file is an error with its path', async () => {
  const pack = await packOf({ a: 'abc' });
  await rm(join(directory, 'a'));
  await mkdir(join(directory, 'a'));
  await expect(verifyPack(pack)).rejects.toThrow(`${join(directory, 'a')}: the file cannot be read`);
});

test('checking can be stopped', async () => {
  const pack = await packOf({ a: 'abc' });
  await expect(verifyPack(pack, undefined, AbortSignal.abort())).rejects.toThrow(/abort/i);
});
