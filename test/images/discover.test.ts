import { chmod, mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert, asyncProperty, string, tuple, uniqueArray } from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemFiles, type FileSystem, type FolderEntry } from '../../src/images/discovery/file-system.ts';
import { create, discover, found, inEmptyFolder, onWindows } from './discovered-folder.ts';
import { temporaryFolder } from './fixture-images.ts';

const root = inEmptyFolder();

/** The system, in which `folder` may not be read: root may read every folder. */
function withClosed(folder: string): FileSystem {
  return {
    ...systemFiles,
    list: async (path) => {
      if (path === folder) throw Object.assign(new Error('permission denied'), { code: 'EACCES' });
      return systemFiles.list(path);
    },
  };
}

const CLOSED_WARNING = 'p/closed: the folder cannot be read (permission denied), so its images are left out.';

describe('folders', () => {
  test('a folder gives the files with an image ending, in any case, at any depth', async () => {
    const images = [
      'b.JPG',
      'c.jpeg',
      'd.jpe',
      'e.jfif',
      'f.Png',
      'g.webp',
      'h.avif',
      'i.gif',
      'j.tif',
      'k.TIFF',
      'l.svg',
    ];
    await create(...images.map((name) => `p/${name}`), 'p/x/y/a.jpg', 'p/notes.txt', 'p/jpg', 'p/a.jpg.bak', 'p/.jpg');
    expect(await found(['p'])).toEqual([...images, 'x/y/a.jpg'].map((name) => `p/${name}`));
  });

  test('without recursion only the files directly inside count', async () => {
    await create('p/a.jpg', 'p/x/b.jpg');
    expect(await found(['p'], { recursive: false })).toEqual(['p/a.jpg']);
  });

  test('hidden files and folders are left out unless they are named', async () => {
    await create('p/a.jpg', 'p/.b.jpg', 'p/.cache/c.jpg', '.h/d.jpg');
    expect(await found(['p'])).toEqual(['p/a.jpg']);
    expect(await found(['p/.b.jpg', 'p/.cache', '.h'])).toEqual(['.h/d.jpg', 'p/.b.jpg', 'p/.cache/c.jpg']);
  });

  test('the working folder can be named', async () => {
    await create('a.jpg', 'x/b.jpg');
    expect(await found(['.'])).toEqual(['a.jpg', 'x/b.jpg']);
    expect(await found(['./'])).toEqual(['a.jpg', 'x/b.jpg']);
  });

  test('an absolute folder gives absolute paths', async () => {
    await create('p/a.jpg');
    expect(await found([join(root(), 'p')])).toEqual([join(root(), 'p/a.jpg').replaceAll('\\', '/')]);
  });

  test('paths through a parent folder keep their spelling', async () => {
    await create('p/a.jpg', 'q/b.jpg');
    process.chdir(join(root(), 'q'));
    expect(await found(['../p', './b.jpg'])).toEqual(['../p/a.jpg', 'b.jpg']);
  });

  test('ten thousand files are listed within two seconds', async () => {
    await mkdir('many');
    for (let batch = 0; batch < 100; batch++) {
      await Promise.all(Array.from({ length: 100 }, async (_, at) => writeFile(`many/${batch * 100 + at}.jpg`, '')));
    }
    const start = performance.now();
    expect(await found(['many'])).toHaveLength(10_000);
    expect(performance.now() - start).toBeLessThan(2000);
  });

  test('a folder that may not be read is reported and counted, and the others are listed', async () => {
    await create('p/a.jpg', 'p/closed/b.jpg', 'p/z/c.jpg');
    const { files, warnings, unreadableFolders } = await discover(['p', 'p/closed'], {}, withClosed('p/closed'));
    expect(files.map(({ path }) => path)).toEqual(['p/a.jpg', 'p/z/c.jpg']);
    expect([warnings, unreadableFolders]).toEqual([[CLOSED_WARNING], 1]);
  });

  test.skipIf(process.getuid?.() === 0 || onWindows)(
    'an unreadable folder is reported and the others are listed',
    async () => {
      await create('p/a.jpg', 'p/closed/b.jpg', 'p/z/c.jpg');
      await chmod('p/closed', 0o000);
      onTestFinished(async () => chmod(join(root(), 'p/closed'), 0o700));
      const { files, warnings } = await discover(['p']);
      expect(files.map(({ path }) => path)).toEqual(['p/a.jpg', 'p/z/c.jpg']);
      expect(warnings).toEqual([CLOSED_WARNING]);
    },
  );
});

describe('named files', () => {
  test('a named file is taken whatever its ending', async () => {
    await create('scan.001', 'noending');
    expect(await found(['scan.001', 'noending'])).toEqual(['noending', 'scan.001']);
  });

  test('a named file that does not exist stays in the list', async () => {
    expect(await found(['gone.jpg', 'no/such/folder/b.png', ''])).toEqual(['', 'gone.jpg', 'no/such/folder/b.png']);
  });

  test('a file inside a file stays in the list', async () => {
    await create('a.jpg');
    expect(await found(['a.jpg/b.jpg'])).toEqual(['a.jpg/b.jpg']);
  });

  test('different spellings of one path are one image', async () => {
    await create('p/a.jpg');
    expect(await found(['p/a.jpg', './p/a.jpg', 'p//a.jpg', 'p/./a.jpg', 'p', 'p/', './/p/'])).toEqual(['p/a.jpg']);
  });

  test.each([
    'a [1].jpg',
    'x{1,2}.png',
    '-n.jpg',
    '!no.jpg',
    '(a|b).jpg',
    'ü 日本 🐱.jpg',
    '@(x).jpg',
    ' .jpg',
    "it's.jpg",
  ])('a file named %j is found by name, in its folder and in a list', async (name) => {
    await create(`p/${name}`, name);
    expect(await found([name])).toEqual([name]);
    expect(await found(['p'])).toEqual([`p/${name}`]);
    expect(await found([], { filesFrom: { names: [name], escapedFirst: true } })).toEqual([name]);
  });

  test
    .skipIf(onWindows)
    .each(['a*.jpg', 'new\nline.jpg', 'what?.jpg', String.raw`back\slash.jpg`, 'a:b.jpg', '\u001B[31m.jpg'])(
    'a file named %j is found where the system allows such a name',
    async (name) => {
      await create(`p/${name}`, name, 'another.jpg');
      expect(await found([name])).toEqual([name]);
      expect(await found(['p'])).toEqual([`p/${name}`]);
    },
  );

  test.skipIf(onWindows)('any legal name is found, sorted bytewise and without duplicates', async () => {
    const segment = string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter(
      (name) => !/[/\0]/.test(name) && !name.startsWith('.') && Buffer.byteLength(name) < 200,
    );
    await assert(
      asyncProperty(uniqueArray(tuple(segment, segment), { minLength: 1, maxLength: 6 }), async (names) => {
        const folder = await temporaryFolder();
        const expected = new Set<string>();
        for (const [inner, file] of names) {
          await mkdir(join(folder, `d${inner}`), { recursive: true });
          await writeFile(`${folder}/d${inner}/${file}.jpg`, '');
          expected.add(`${folder}/d${inner}/${file}.jpg`);
        }
        const byName = [...expected, ...expected];
        const inOrder = [...expected].toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        expect(await found([folder])).toEqual(inOrder);
        expect(await found(byName)).toEqual(inOrder);
      }),
      { numRuns: 40 },
    );
  });

  test('the order is that of UTF-8 bytes, not of UTF-16 units', async () => {
    const names = ['a.jpg', 'Z.jpg', 'é.jpg', '\uFF5E.jpg', '🐱.jpg'];
    expect(await found(names)).toEqual(['Z.jpg', 'a.jpg', 'é.jpg', '\uFF5E.jpg', '🐱.jpg']);
  });
});

describe('patterns', () => {
  test('a name that does not exist is tried as a pattern', async () => {
    await create('p/a.jpg', 'p/b.png', 'p/x/c.jpg', 'p/.d.jpg');
    expect(await found(['p/*.jpg'])).toEqual(['p/a.jpg']);
    expect(await found(['p/**/*.{jpg,png}'])).toEqual(['p/a.jpg', 'p/b.png', 'p/x/c.jpg']);
    expect(await found(['?/[a-b].*'])).toEqual(['p/a.jpg', 'p/b.png']);
    expect(await found(['p/?.jp?'])).toEqual(['p/a.jpg']);
    expect(await found(['p/?d.jpg'])).toEqual([]);
  });

  test('a pattern that names no ending takes only images', async () => {
    await create('p/a.jpg', 'p/readme.txt', 'p/b.dat');
    expect(await found(['p/**'])).toEqual(['p/a.jpg']);
    expect(await found(['p/*.dat'])).toEqual(['p/b.dat']);
  });

  test('a folder that a pattern matches is walked, as if the shell had expanded it', async () => {
    await create('2024-01/a.jpg', '2024-02/x/b.jpg', '2025/c.jpg');
    expect(await found(['2024-*'])).toEqual(['2024-01/a.jpg', '2024-02/x/b.jpg']);
    expect(await found(['2024-*'], { recursive: false })).toEqual(['2024-01/a.jpg']);
  });

  test('an existing folder at the beginning of a pattern is meant literally', async () => {
    await create('trip [2024] {x}/a.jpg', 'trip 2/b.jpg', '!odd/c.jpg');
    expect(await found(['trip [2024] {x}/*.jpg'])).toEqual(['trip [2024] {x}/a.jpg']);
    expect(await found(['!odd/*.jpg', '!*/*.jpg'])).toEqual(['!odd/c.jpg']);
    expect(await found([join(root(), 'trip 2', '*.jpg')])).toEqual([
      join(root(), 'trip 2/b.jpg').replaceAll('\\', '/'),
    ]);
  });

  test('a pattern that matches nothing adds nothing and is reported', async () => {
    await create('a.png');
    const { files, warnings } = await discover(['*.jpg', 'a.png']);
    expect(files).toEqual([{ path: 'a.png' }]);
    expect(warnings).toEqual(['*.jpg: no such file, and as a pattern it matches no image.']);
  });

  test('an entry of a list is never a pattern', async () => {
    await create('a.jpg');
    expect(await found([], { filesFrom: { names: ['*.jpg'], escapedFirst: true } })).toEqual(['*.jpg']);
  });

  test('a folder that a pattern leads into and that cannot be read is reported', async () => {
    await create('p/a.jpg', 'p/closed/b.jpg');
    const { files, warnings, unreadableFolders } = await discover(['p/**/*.jpg'], {}, withClosed('p/closed'));
    expect(files).toEqual([{ path: 'p/a.jpg' }]);
    expect([warnings, unreadableFolders]).toEqual([[CLOSED_WARNING], 1]);
  });
});

describe('excluding', () => {
  test('a pattern leaves out files, named ones too', async () => {
    await create('p/a.jpg', 'p/b.png', 'c.png');
    expect(await found(['p', 'c.png'], { exclude: ['*.png'] })).toEqual(['p/a.jpg']);
  });

  test('a folder is left out with everything in it', async () => {
    await create('p/a.jpg', 'p/thumbs/b.jpg', 'p/x/thumbs/y/c.jpg');
    expect(await found(['p'], { exclude: ['thumbs'] })).toEqual(['p/a.jpg']);
    expect(await found(['p'], { exclude: ['p/thumbs/**'] })).toEqual(['p/a.jpg', 'p/x/thumbs/y/c.jpg']);
    expect(await found(['.'], { exclude: ['./p/x/'] })).toEqual(['p/a.jpg', 'p/thumbs/b.jpg']);
  });
});

describe.skipIf(onWindows)('symbolic links', () => {
  test('a linked file and a linked folder are followed, and a broken link is an image that will fail', async () => {
    await create('store/a.jpg', 'p/b.jpg');
    await symlink('../store/a.jpg', 'p/l.jpg');
    await symlink('../store', 'p/s');
    await symlink('../nowhere.jpg', 'p/broken.jpg');
    await symlink('nowhere', 'p/broken');
    expect(await found(['p'])).toEqual(['p/b.jpg', 'p/broken.jpg', 'p/l.jpg', 'p/s/a.jpg']);
  });

  test('a loop ends, and every file is listed once', async () => {
    await create('p/a.jpg', 'p/x/b.jpg');
    await symlink('..', 'p/x/up');
    await symlink('.', 'p/self');
    await symlink('loop', 'p/loop');
    expect(await found(['p'])).toEqual(['p/a.jpg', 'p/x/b.jpg']);
    expect(await found(['p/**/*.jpg'])).toEqual(['p/a.jpg', 'p/x/b.jpg']);
  });

  test('a folder that is itself named through a link is walked', async () => {
    await create('real/a.jpg', 'real/x/b.jpg');
    await symlink('real', 'link');
    await symlink('../../real', 'real/x/back');
    expect(await found(['link'])).toEqual(['link/a.jpg', 'link/x/b.jpg']);
  });

  test('folders that all link to each other do not multiply', async () => {
    const folders = Array.from({ length: 9 }, (_, index) => `net/f${index}`);
    for (const folder of folders) {
      await create(`${folder}/a.jpg`);
      for (const other of folders) await symlink(join(root(), other), `${folder}/to-${other.slice(4)}`);
    }
    expect(await found(['net'])).toEqual(folders.map((folder) => `${folder}/a.jpg`));
  });

  test('a folder that vanishes while others are listed stops nothing', async () => {
    await create('p/a.jpg', 'q/b.jpg');
    const listing = discover(['p', 'q']);
    await rename('q', 'r');
    const { files } = await listing;
    expect(files.map(({ path }) => path)).toContain('p/a.jpg');
  });
});

/** A folder in a folder in a folder, without an end, and an abort in the hundredth. */
function endless(entry: FolderEntry): { files: FileSystem; signal: AbortSignal; listed: () => number } {
  const controller = new AbortController();
  let listed = 0;
  const files: FileSystem = {
    list: async () => {
      listed += 1;
      if (listed === 100) controller.abort(new Error('enough'));
      return [entry];
    },
    targetKind: async (path) => (path.includes('*') ? undefined : 'folder'),
    realPath: async (path) => `/${path}/${listed}`,
    readHead: async () => Buffer.of(),
  };
  return { files, signal: controller.signal, listed: () => listed };
}

describe('an abort ends the search', () => {
  test.each([
    ['in folders', ['p'], { name: 'x', kind: 'folder' }],
    ['behind links', ['p'], { name: 'x', kind: 'link' }],
    ['by a pattern', ['p/**/*.jpg'], { name: 'x', kind: 'folder' }],
  ] as const)('%s', async (_, paths, entry) => {
    const { files, signal, listed } = endless(entry);
    await expect(discover(paths, { signal }, files)).rejects.toThrow('enough');
    expect(listed()).toBeLessThan(150);
  });

  test('before it begins', async () => {
    await expect(discover(['.'], { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
  });
});
