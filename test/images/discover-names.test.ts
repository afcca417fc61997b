import { link, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { create, discover, found, inEmptyFolder, onWindows } from './discovered-folder.ts';

const root = inEmptyFolder();

const raw = String.raw;

/** A name as an old program would write it. */
function name(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

describe('one file under several names', () => {
  test('is one image, under the name that came first', async () => {
    await create('p/a.jpg');
    const absolute = join(root(), 'p/a.jpg').replaceAll('\\', '/');
    expect(await found(['p/../p/a.jpg', 'p', absolute])).toEqual(['p/../p/a.jpg']);
    expect(await found([absolute, 'p/a.jpg'])).toEqual([absolute]);
    expect(await found(['p'], { filesFrom: { names: [absolute], escapedFirst: true } })).toEqual(['p/a.jpg']);
  });

  test.skipIf(onWindows)('is one image through links to its folder, and the folder itself goes before', async () => {
    await create('p/z/a.jpg');
    await symlink('z', 'p/b');
    await symlink('p', 'q');
    expect(await found(['p'])).toEqual(['p/z/a.jpg']);
    expect(await found(['p', 'q'])).toEqual(['p/z/a.jpg']);
    expect(await found(['q/b/a.jpg', 'p/z/a.jpg', 'q'])).toEqual(['q/b/a.jpg']);
    expect(await found(['q/*/a.jpg'])).toEqual(['q/b/a.jpg']);
    const { leftOut } = await discover(['p', 'q']);
    expect(leftOut.paths).toEqual([
      { path: 'p/b', reason: 'the same folder as p/z' },
      { path: 'q', reason: 'the same folder as p' },
    ]);
  });

  test.skipIf(onWindows)('is two images where the names are links to the file itself, or hard links', async () => {
    await create('p/a.jpg');
    await link('p/a.jpg', 'p/b.jpg');
    await symlink('a.jpg', 'p/c.jpg');
    expect(await found(['p'])).toEqual(['p/a.jpg', 'p/b.jpg', 'p/c.jpg']);
  });
});

describe.skipIf(process.platform !== 'linux')('names that are not UTF-8', () => {
  beforeEach(async () => {
    await mkdir(name('alb\xFCm'));
    for (const path of ['alb\xFCm/caf\xE8.jpg', 'alb\xFCm/caf\xE9.jpg', 'alb\xFCm/b.mov'])
      await writeFile(name(path), '');
  });

  const both = [raw`alb\xFCm/caf\xE8.jpg`, raw`alb\xFCm/caf\xE9.jpg`];

  test('are found one by one, in folders, by patterns and by name', async () => {
    expect(await found(['.'])).toEqual(both);
    expect(await found(['*/caf*.jpg'])).toEqual(both);
    expect(await found(['**/*.{jpg,png}'])).toEqual(both);
    expect(await found([name('alb\xFCm')])).toEqual(both);
    expect(await found([name('./alb\xFCm//caf\xE9.jpg')])).toEqual([both[1]]);
    expect(await found(['.'], { exclude: ['alb*/*8.jpg'] })).toEqual([both[1]]);
  });

  test('are found by the form in which records show them, and by their bytes in a list', async () => {
    expect(await found([...both])).toEqual(both);
    const names = [raw`alb\xFCm/caf\xE9.jpg`, name('alb\xFCm/caf\xE8.jpg'), name('alb\xFCm/caf\xE9.jpg')];
    expect(await found([], { filesFrom: { names, escapedFirst: true } })).toEqual(both);
    expect(await found([], { filesFrom: { names, escapedFirst: false } })).toEqual(both);
  });

  test('are told from names that look like their form', async () => {
    await create(raw`alike/a\xE9.jpg`);
    await writeFile(name('alike/a\xE9.jpg'), '');
    const [literal, bytes] = [raw`alike/a\x5CxE9.jpg`, raw`alike/a\xE9.jpg`];
    expect(await found(['alike'])).toEqual([literal, bytes]);
    // What a person types is what it says; a line of a list may come from a record.
    expect(await found([bytes])).toEqual([literal]);
    expect(await found([], { filesFrom: { names: [bytes], escapedFirst: true } })).toEqual([bytes]);
    expect(await found([], { filesFrom: { names: [bytes], escapedFirst: false } })).toEqual([literal]);
  });

  test('are sorted by their bytes', async () => {
    await create('s/\u00C3.jpg', 's/z.jpg', 's/\uFF5E.jpg');
    await writeFile(name('s/\xC3\xFF.jpg'), '');
    await writeFile(name('s/\xD0.jpg'), '');
    expect(await found(['s'])).toEqual([
      's/z.jpg',
      's/\u00C3.jpg',
      raw`s/\xC3\xFF.jpg`,
      raw`s/\xD0.jpg`,
      's/\uFF5E.jpg',
    ]);
  });
});

describe('addresses and home folders', () => {
  test('a file address is the path that it stands for', async () => {
    await create('p/a b.jpg');
    const path = join(root(), 'p/a b.jpg').replaceAll('\\', '/');
    const address = pathToFileURL(path).href;
    expect(await found([address, 'file:///no/such%20file.jpg'])).toContain(path);
    expect(await found([], { filesFrom: { names: [address], escapedFirst: true } })).toEqual([path]);
  });

  test('any other address stays as it is, and is no pattern', async () => {
    const addresses = ['https://example.org/a.jpg?w=[1]*', 's3://photos/*.jpg'];
    const { files, warnings } = await discover(addresses);
    expect([files.map(({ path }) => path), warnings]).toEqual([addresses, []]);
  });

  test('"~/" is the home folder, unless there is a folder of that name', async () => {
    await create('home/a.jpg', 'home/b.png');
    vi.stubEnv(onWindows ? 'USERPROFILE' : 'HOME', join(root(), 'home'));
    onTestFinished(() => void vi.unstubAllEnvs());
    const home = join(root(), 'home').replaceAll('\\', '/');
    expect(await found([], { filesFrom: { names: ['~/a.jpg'], escapedFirst: true } })).toEqual([`${home}/a.jpg`]);
    expect(await found(['~/*.png'])).toEqual([`${home}/b.png`]);
    expect(await found(['~/gone.jpg', '~other/a.jpg'])).toEqual([`${home}/gone.jpg`, '~other/a.jpg']);
    await create('~/a.jpg');
    expect(await found(['~/a.jpg'])).toEqual(['~/a.jpg']);
  });
});
