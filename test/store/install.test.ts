import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { OutputError, PackError, UsageError } from '../../src/errors.ts';
import { readPack } from '../../src/pack/model-declaration.ts';
import { installPack } from '../../src/store/install.ts';
import { writePack } from './pack-folder.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'minigpt-install-'));
  vi.stubEnv('MINIGPT_HOME', home);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(home, { recursive: true });
});

test('a pack is built beside its place and then moved there', async () => {
  let builtIn = '';
  const directory = await installPack('mine', async (temporary) => {
    builtIn = temporary;
    expect(await readdir(temporary)).toEqual([]);
    await writePack(temporary, 'mine', { 'a.onnx': 'abc' });
    expect(await readdir(join(home, 'models'))).toHaveLength(1);
  });
  expect(directory).toBe(join(home, 'models', 'mine'));
  expect(dirname(builtIn)).toBe(join(home, 'models'));
  expect(await readdir(join(home, 'models'))).toEqual(['mine']);
  expect((await readPack(directory)).declaration.id).toBe('mine');
});

test('a pack can be put into a folder of choice', async () => {
  const into = join(home, 'else', 'where');
  expect(await installPack('mine', async (temporary) => writePack(temporary, 'mine'), { into })).toBe(into);
  expect(await readdir(dirname(into))).toEqual(['where']);
});

test.skipIf(process.platform === 'win32')('a pack is as readable for others as any new folder', async () => {
  const directory = await installPack('mine', async (temporary) => writePack(temporary, 'mine'));
  await mkdir(join(home, 'plain'));
  expect((await stat(directory)).mode).toBe((await stat(join(home, 'plain'))).mode);
});

test('an id that exists is refused before anything is built, and stays as it was', async () => {
  await mkdir(join(home, 'models', 'mine'), { recursive: true });
  await writeFile(join(home, 'models', 'mine', 'precious'), 'x');
  const build = vi.fn<(temporary: string) => Promise<void>>();
  await expect(installPack('mine', build)).rejects.toThrow(/already exists/);
  expect(build).not.toHaveBeenCalled();
  expect(await readdir(join(home, 'models', 'mine'))).toEqual(['precious']);
});

test('of two imports of one id that run together, the second to end is refused', async () => {
  const first = installPack('mine', async (temporary) => {
    await writePack(temporary, 'mine', { a: 'first' });
    await installPack('mine', async (inner) => writePack(inner, 'mine', { a: 'second' }));
  });
  await expect(first).rejects.toThrow(UsageError);
  expect(await readdir(join(home, 'models'))).toEqual(['mine']);
});

async function half(temporary: string): Promise<void> {
  await writeFile(join(temporary, 'decoder.onnx'), 'half');
}

describe('a failed build leaves nothing behind', () => {
  test('when it throws', async () => {
    const failing = installPack('mine', async (temporary) => {
      await half(temporary);
      throw new Error('the disk is full');
    });
    await expect(failing).rejects.toThrow('the disk is full');
    expect(await readdir(join(home, 'models'))).toEqual([]);
  });

  test('when it wrote no model.json', async () => {
    await expect(installPack('mine', half)).rejects.toThrow(PackError);
    expect(await readdir(join(home, 'models'))).toEqual([]);
  });

  test('and other packs stay', async () => {
    await writePack(join(home, 'models', 'other'), 'other');
    await writePack(join(home, 'models', '.mine.importing-0'), 'mine');
    await expect(installPack('mine', half)).rejects.toThrow(PackError);
    expect((await readdir(join(home, 'models'))).toSorted()).toEqual(['.mine.importing-0', 'other']);
  });
});

const BAD = [
  '',
  '.',
  '..',
  'a/b',
  String.raw`a\b`,
  '-a',
  '.a',
  'a ',
  'a\n',
  'ä',
  'con',
  'NUL.txt',
  'com1',
  'a.',
  'a:b',
  '\0',
  'x'.repeat(101),
];

test.each(BAD)('%j cannot be an id', async (id) => {
  await expect(installPack(id, async () => undefined)).rejects.toThrow(UsageError);
  expect(await readdir(home)).toEqual([]);
});

test.each(['nano', 'blip2-opt-2.7b', 'A_1', '7', 'console', 'x'.repeat(100)])('%j can be an id', async (id) => {
  const directory = await installPack(id, async (temporary) => writePack(temporary, id));
  expect(directory).toBe(join(home, 'models', id));
});

test.skipIf(process.platform === 'win32' || process.getuid?.() === 0)(
  'a folder that cannot be written is named',
  async () => {
    await chmod(home, 0o500);
    await expect(installPack('mine', async () => undefined)).rejects.toThrow(OutputError);
    await chmod(home, 0o700);
  },
);

test('a file in the way of the folder is named', async () => {
  await writeFile(join(home, 'models'), '');
  await expect(installPack('mine', async () => undefined)).rejects.toThrow(/models: |already exists/);
});
