import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { findRemovablePack, removePack } from '../../src/store/remove.ts';
import { writePack } from './pack-folder.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'minigpt-remove-'));
  vi.stubEnv('MINIGPT_HOME', home);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(home, { recursive: true });
});

const models = (...parts: string[]) => join(home, 'models', ...parts);

test("a pack of the user's goes with all its files, others stay, and the freed bytes are counted", async () => {
  await writePack(models('mine'), 'mine', { 'a.onnx': 'x'.repeat(1000), 'sub/b.bin': 'x'.repeat(500) });
  await writePack(models('other'), 'other');
  const pack = await findRemovablePack('mine');
  const freed = await removePack(pack);
  expect(freed).toBe(pack.bytes);
  expect(freed).toBeGreaterThan(1500);
  expect(await readdir(models())).toEqual(['other']);
});

test('a damaged pack can be removed', async () => {
  await mkdir(models('mine'), { recursive: true });
  await writeFile(models('mine', 'model.json'), '{');
  expect(await removePack(await findRemovablePack('mine'))).toBe(1);
  expect(await readdir(models())).toEqual([]);
});

test('what a killed removal left goes with the next one of that id, and nothing else', async () => {
  await writePack(models('mine'), 'mine');
  for (const name of ['.mine.removing-1', '.mine.importing-1', '.minex.removing-1']) await mkdir(models(name));
  await removePack(await findRemovablePack('mine'));
  expect((await readdir(models())).toSorted()).toEqual(['.mine.importing-1', '.minex.removing-1']);
});

test.skipIf(process.platform === 'win32')('of a pack that is a link only the link goes', async () => {
  await writePack(join(home, 'elsewhere'), 'mine', { a: 'abc' });
  await mkdir(models());
  await symlink(join(home, 'elsewhere'), models('mine'));
  expect(await removePack(await findRemovablePack('mine'))).toBe(0);
  expect(await readdir(models())).toEqual([]);
  expect((await readdir(join(home, 'elsewhere'))).toSorted()).toEqual(['a', 'model.json']);
});

test('a pack of the program is refused, also where its name is written as a path', async () => {
  await expect(findRemovablePack('nano')).rejects.toThrow(/nano is part of minigpt and cannot be removed/);
  await expect(findRemovablePack('models/nano')).rejects.toThrow(UsageError);
});

test('an own pack in the place of one of the program is removed, and that one is back', async () => {
  await writePack(models('nano'), 'nano');
  await removePack(await findRemovablePack('nano'));
  await expect(findRemovablePack('nano')).rejects.toThrow(/part of minigpt/);
});

test('an id that is not there is refused with those that are', async () => {
  await expect(findRemovablePack('mine')).rejects.toThrow(
    /no model called "mine" to remove\. No model can be removed\./,
  );
  await writePack(models('a'), 'a');
  await expect(findRemovablePack('mine')).rejects.toThrow(/You can remove: a\./);
});
