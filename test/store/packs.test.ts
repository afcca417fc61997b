import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { PackError, UsageError } from '../../src/errors.ts';
import { dataFolder, listPacks, resolvePack, userPacks } from '../../src/store/packs.ts';
import { writePack } from './pack-folder.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'minigpt-store-'));
  vi.stubEnv('MINIGPT_HOME', home);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(home, { recursive: true });
});

describe('the data folder', () => {
  test.skipIf(process.platform === 'win32')('follows the platform', () => {
    expect(dataFolder({}, 'linux', '/home/ada')).toBe('/home/ada/.local/share/minigpt');
    expect(dataFolder({ XDG_DATA_HOME: '/data' }, 'linux', '/home/ada')).toBe('/data/minigpt');
    expect(dataFolder({ XDG_DATA_HOME: 'data' }, 'linux', '/home/ada')).toBe('/home/ada/.local/share/minigpt');
    expect(dataFolder({}, 'darwin', '/Users/ada')).toBe('/Users/ada/Library/Application Support/minigpt');
    expect(dataFolder({ LOCALAPPDATA: '/local' }, 'win32', '/u')).toBe('/local/minigpt');
  });

  test('is MINIGPT_HOME where that is set', () => {
    expect(dataFolder({ MINIGPT_HOME: home, XDG_DATA_HOME: '/data' }, 'linux')).toBe(home);
    expect(userPacks()).toBe(join(home, 'models'));
  });
});

describe('resolving a pack', () => {
  test("by id finds it among the user's packs", async () => {
    await writePack(join(home, 'models', 'mine'), 'mine');
    const pack = await resolvePack('mine');
    expect(pack.directory).toBe(join(home, 'models', 'mine'));
    expect(pack.declaration.id).toBe('mine');
  });

  test('by a folder finds it there', async () => {
    const folder = join(home, 'elsewhere', 'a pack [1]');
    await writePack(folder, 'other');
    expect((await resolvePack(folder)).declaration.id).toBe('other');
  });

  test('by a folder of the working folder finds it there', async () => {
    await writePack(join(home, 'local pack'), 'local');
    vi.spyOn(process, 'cwd').mockReturnValue(home);
    expect((await resolvePack('./local pack')).directory).toBe(join(home, 'local pack'));
    vi.restoreAllMocks();
  });

  test('by an id that is only inside the package finds it there, until the user imports one of that id', async () => {
    expect((await resolvePack('nano')).directory).not.toContain(home);
    await writePack(join(home, 'models', 'nano'), 'nano');
    expect((await resolvePack('nano')).directory).toBe(join(home, 'models', 'nano'));
    const listed = (await listPacks()).filter(({ id }) => id === 'nano');
    expect(listed.map(({ embedded }) => embedded)).toEqual([false, true]);
  });

  test('that is not there names those that are, and how to make one', async () => {
    await writePack(join(home, 'models', 'mine'), 'mine');
    const error = await resolvePack('yours').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(UsageError);
    expect(String(error)).toMatch(/no model called "yours"\. Models on this computer: mine.*minigpt models import/);
  });

  test.each(['..', '.', '', '../models/mine', 'mine/', '\0'])(
    'named %j never leaves the shelf by its id',
    async (name) => {
      await mkdir(join(home, 'models'));
      await expect(resolvePack(name)).rejects.toThrow(UsageError);
    },
  );

  test('that is damaged is not passed over', async () => {
    await mkdir(join(home, 'models', 'mine'), { recursive: true });
    await writeFile(join(home, 'models', 'mine', 'model.json'), '{"schema":1}');
    await expect(resolvePack('mine')).rejects.toThrow(PackError);
  });
});

describe('the list of packs', () => {
  test('is made where the user has no folder of packs yet', async () => {
    expect((await listPacks()).filter((listed) => !listed.embedded)).toEqual([]);
  });

  test('has every pack with its size, and a damaged one with its error', async () => {
    await writePack(join(home, 'models', 'b'), 'b', { 'decoder.onnx': '12345', 'sub/more.bin': '123' });
    await mkdir(join(home, 'models', 'a'), { recursive: true });
    await writeFile(join(home, 'models', 'a', 'model.json'), 'nonsense');
    const [a, b, ...rest] = (await listPacks()).filter((listed) => !listed.embedded);
    expect(rest).toEqual([]);
    expect(a).toMatchObject({ id: 'a', pack: undefined, bytes: 8 });
    expect(a?.error).toMatch(/not valid JSON/);
    const declaration = Buffer.byteLength(JSON.stringify(b?.pack?.declaration));
    expect(b).toMatchObject({ id: 'b', directory: join(home, 'models', 'b') });
    expect(b?.bytes).toBeGreaterThan(declaration / 2 + 8);
  });

  test('leaves out imports under way and folders without model.json', async () => {
    await writePack(join(home, 'models', '.b.importing-1'), 'b');
    await mkdir(join(home, 'models', 'empty'));
    await writeFile(join(home, 'models', 'c.json'), '{}');
    expect((await listPacks()).filter((listed) => !listed.embedded)).toEqual([]);
  });
});
