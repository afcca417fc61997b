import { execFileSync } from 'node:child_process';
import { symlink, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { systemFiles, type FileSystem } from '../../src/images/discovery/file-system.ts';
import { create, discover, found, inEmptyFolder, onWindows } from './discovered-folder.ts';

inEmptyFolder();

/** The beginning of a JPEG, which is all that discovery looks at. */
const JPEG = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), Buffer.alloc(60)]);

describe('what looks like an image', () => {
  test('is one by its ending, whatever it holds and whether it is read', async () => {
    const images = [
      'a.apng',
      'b.HEIC',
      'c.heif',
      'd.bmp',
      'e.jxl',
      'f.cr2',
      'g.psd',
      'h.jp2',
      'i.ico',
      'j.mpo',
      'k.svgz',
    ];
    await create(...images.map((name) => `p/${name}`));
    expect(await found(['p'])).toEqual(images.map((name) => `p/${name}`));
  });

  test('is one by its first bytes where the ending says nothing', async () => {
    await create('p/README', 'p/empty.dat');
    await writeFile('p/README', 'This is a long text about the photographs of this folder.');
    for (const name of ['IMG_0001', 'photo.dat', 'a.jpg.bak', 'notes.txt']) await writeFile(`p/${name}`, JPEG);
    expect(await found(['p'])).toEqual(['p/IMG_0001', 'p/a.jpg.bak', 'p/photo.dat']);
    expect(await found(['p/*'])).toEqual(['p/IMG_0001', 'p/a.jpg.bak', 'p/photo.dat']);
    expect((await discover(['p'])).leftOut.sentence).toBe(
      '3 other files left out: 1 .dat, 1 .txt, 1 without an ending.',
    );
  });

  test('is opened only where the ending says nothing, and never where it is excluded', async () => {
    await create('p/a.jpg', 'p/b.heic', 'p/c.mov', 'p/d.txt', 'p/e', 'p/x/f.dat', 'p/thumbs/g');
    const opened: string[] = [];
    const files: FileSystem = {
      ...systemFiles,
      readHead: async (path, length) => {
        opened.push(path);
        return systemFiles.readHead(path, length);
      },
    };
    await discover(['p'], { exclude: ['thumbs'] }, files);
    expect(opened.toSorted()).toEqual(['p/e', 'p/x/f.dat']);
  });

  test('may be unreadable without an ending, and is left out with the reason', async () => {
    await create('p/a.jpg', 'p/b');
    const closed: FileSystem = {
      ...systemFiles,
      readHead: async () => Promise.reject(Object.assign(new Error('permission denied'), { code: 'EACCES' })),
    };
    const { files, leftOut } = await discover(['p'], {}, closed);
    expect(files).toEqual([{ path: 'p/a.jpg' }]);
    expect(leftOut.paths).toEqual([{ path: 'p/b', reason: 'it cannot be read (permission denied)' }]);
  });

  test.skipIf(onWindows)(
    'is an image also as a pipe or a link in a circle, and those without an ending are left out',
    async () => {
      await create('p/a.jpg');
      execFileSync('mkfifo', ['p/pipe.jpg', 'p/pipe']);
      await symlink('circle.jpg', 'p/circle.jpg');
      await symlink('circle', 'p/circle');
      const { files, leftOut } = await discover(['p']);
      expect(files.map(({ path }) => path)).toEqual(['p/a.jpg', 'p/circle.jpg', 'p/pipe.jpg']);
      expect(leftOut.paths).toEqual([
        { path: 'p/circle', reason: 'a link that leads nowhere' },
        { path: 'p/pipe', reason: 'a named pipe' },
      ]);
    },
  );
});

test('everything that is left out has its reason', async () => {
  await create('p/a.jpg', 'p/.b.jpg', 'p/._a.jpg', 'p/.DS_Store', 'p/.git/c.jpg', 'p/d.png', 'p/e.mov', 'p/x/f.jpg');
  const { leftOut } = await discover(['p', 'p/../p/a.jpg'], { exclude: ['*.png'], recursive: false });
  expect(leftOut.paths.map(({ path, reason }) => `${path}: ${reason}`)).toEqual([
    'p/../p/a.jpg: the same file as p/a.jpg',
    'p/.DS_Store: hidden',
    'p/._a.jpg: hidden',
    'p/.b.jpg: hidden',
    'p/.git: hidden',
    'p/d.png: --exclude',
    'p/e.mov: no image',
    'p/x: --no-recursive',
  ]);
  expect(leftOut.sentence).toBe('2 other files left out: 1 .mov, 1 hidden.');
});
