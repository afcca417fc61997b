/** Nothing in a folder is left out in silence: through the built binary. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { lastLine, minigpt, placePhoto, records, temporaryFolder } from '../binary.ts';

const onWindows = process.platform === 'win32';
let folder: string;

beforeEach(() => {
  folder = temporaryFolder();
  mkdirSync(join(folder, 'p'));
});

function write(name: string, head = 'x'): void {
  writeFileSync(join(folder, 'p', name), Buffer.from(head, 'latin1'));
}

type Failure = { code: string; message: string };
const failuresIn = (output: string): Record<string, Failure> =>
  Object.fromEntries(
    records(output).flatMap(({ image, error }) => (error === undefined ? [] : [[image, error as Failure]])),
  );

const HEIC = '\0\0\0\x18ftypheic\0\0\0\0mif1heic';

describe('a folder as a phone writes it', () => {
  beforeEach(() => {
    placePhoto(join(folder, 'p/IMG_0001.JPG'));
    write('IMG_0002.HEIC', HEIC);
    for (const name of ['IMG_0002.MOV', 'IMG_0001.AAE', 'IMG_0002.AAE', 'notes.txt']) write(name);
  });

  test('has a record for each image, and the other files are counted', async () => {
    const { stdout, stderr, code } = await minigpt(folder, ['caption', 'p']);
    expect(records(stdout).map(({ image }) => image)).toEqual(['p/IMG_0001.JPG', 'p/IMG_0002.HEIC']);
    // This file ends behind its first bytes, so it fails whatever is read.
    expect(Object.keys(failuresIn(stdout))).toEqual(['p/IMG_0002.HEIC']);
    expect(lastLine(stderr)).toMatch(
      /^minigpt: 1 image captioned, 1 failed, in .* \(.*\)\. 4 other files left out: 2 \.aae, 1 \.mov, 1 \.txt\.$/,
    );
    expect(code).toBe(1);
  });

  test('--verbose names each of them with its reason', async () => {
    write('.hidden.jpg');
    const { stderr, code } = await minigpt(folder, ['caption', 'p', '--exclude', '*.HEIC', '--verbose']);
    expect(stderr.split('\n').filter((line) => line.includes('left out ('))).toEqual([
      'minigpt: p/.hidden.jpg: left out (hidden).',
      'minigpt: p/IMG_0001.AAE: left out (no image).',
      'minigpt: p/IMG_0002.AAE: left out (no image).',
      'minigpt: p/IMG_0002.HEIC: left out (--exclude).',
      'minigpt: p/IMG_0002.MOV: left out (no image).',
      'minigpt: p/notes.txt: left out (no image).',
    ]);
    expect(lastLine(stderr)).toMatch(/ 5 other files left out: 2 \.aae, 1 \.mov, 1 \.txt, 1 hidden\.$/);
    expect(code).toBe(0);
  });
});

test('every kind of image that is not read has an error that names it', async () => {
  const named: Record<string, [head: string, kind: RegExp]> = {
    'a.cr2': ['II*\0\x10\0\0\0CR\x02\0', /camera raw/],
    'b.NEF': ['MM\0*\0\0\0\x08', /camera raw/],
    'c.cr3': ['\0\0\0\x18ftypcrx ', /camera raw/],
    'd.psd': ['8BPS\0\x01', /Photoshop/],
    'e.jp2': ['\0\0\0\x0CjP  \r\n\x87\n', /JPEG 2000/],
    'f.xcf': ['gimp xcf v011\0', /GIMP/],
    'g.exr': ['\x76\x2F\x31\x01', /OpenEXR/],
    // Recognised by content alone.
    scan: ['8BPS\0\x01\0\0\0\0\0\0\0\x03\0\0\0\x10\0\0\0\x10', /Photoshop/],
  };
  for (const [name, [head]] of Object.entries(named)) write(name, head);
  const { stdout, stderr, code } = await minigpt(folder, ['caption', 'p']);
  const failures = failuresIn(stdout);
  expect(Object.keys(failures)).toEqual(
    Object.keys(named)
      .toSorted()
      .map((name) => `p/${name}`),
  );
  for (const [name, [, kind]] of Object.entries(named)) {
    expect(failures[`p/${name}`]).toEqual({ code: 'unsupported-format', message: expect.stringMatching(kind) });
    expect(stderr).toContain(`minigpt: p/${name}: ${failures[`p/${name}`]?.message}\n`);
  }
  expect(lastLine(stderr)).toMatch(/^minigpt: 0 images captioned, 8 failed, in /);
  expect(code).toBe(1);
});

test('kinds that are read count as images under every ending, and without one', async () => {
  const images = ['IMG_0001', 'a.jfif', 'b.mpo', 'c.JPE', 'd.dat', 'e.jpg.bak', 'f.cr2', 'g.png', 'h.heic', 'i.bmp'];
  for (const [index, name] of images.entries()) placePhoto(join(folder, 'p', name), index);
  write('README', 'A text of more than twenty characters.');
  placePhoto(join(folder, 'p/photo.txt'));
  const { stdout, stderr, code } = await minigpt(folder, ['caption', 'p']);
  expect(records(stdout)).toEqual(
    images.map((name) => ({ schema: 1, image: `p/${name}`, caption: expect.stringMatching(/\w/) })),
  );
  expect(lastLine(stderr)).toMatch(/ 2 other files left out: 1 \.txt, 1 without an ending\.$/);
  expect(code).toBe(0);
});

const unreadable = (what: string): Failure => ({
  code: 'unreadable-image',
  message: `this is ${what}, not an image file.`,
});

describe.skipIf(onWindows)('what is no regular file', () => {
  test('is an error and never waited for, in a folder and by name', async () => {
    execFileSync('mkfifo', [join(folder, 'p/pipe.jpg'), join(folder, 'p/pipe')]);
    const server = createServer().listen(join(folder, 'p/socket.png'));
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    symlinkSync('/dev/zero', join(folder, 'p/device.jpg'));
    symlinkSync('nowhere.jpg', join(folder, 'p/dangling.jpg'));
    symlinkSync('circle.jpg', join(folder, 'p/circle.jpg'));

    const { stdout, stderr, code } = await minigpt(folder, ['caption', 'p', '/dev/zero', '/dev/stdin', 'p/pipe']);
    expect(failuresIn(stdout)).toEqual({
      '/dev/stdin': {
        code: 'unreadable-image',
        message: 'an image cannot be read from standard input. Save it in a file, and name that.',
      },
      '/dev/zero': unreadable('a device'),
      'p/circle.jpg': {
        code: 'file-not-found',
        message: 'this is a link to circle.jpg, which leads back to the link.',
      },
      'p/dangling.jpg': { code: 'file-not-found', message: 'this is a link to nowhere.jpg, which does not exist.' },
      'p/device.jpg': unreadable('a device'),
      'p/pipe': unreadable('a pipe'),
      'p/pipe.jpg': unreadable('a pipe'),
      'p/socket.png': unreadable('a socket'),
    });
    expect(lastLine(stderr)).toMatch(/^minigpt: 0 images captioned, 8 failed, in /);
    expect(code).toBe(1);
  });
});

test('a folder without images says what it holds instead', async () => {
  for (const name of ['a.mov', 'b.mov', 'c.txt', 'd']) write(name);
  const { stderr, code } = await minigpt(folder, ['caption', 'p']);
  expect(stderr).toBe(
    'minigpt: no images found: nothing matched in p. 4 other files left out: 2 .mov, 1 .txt, 1 without an ending.\n',
  );
  expect(code).toBe(2);
});

test.skipIf(process.getuid?.() === 0 || onWindows)('an unreadable folder makes the exit code 1', async () => {
  placePhoto(join(folder, 'p/a.jpg'));
  mkdirSync(join(folder, 'p/closed'));
  chmodSync(join(folder, 'p/closed'), 0o000);
  onTestFinished(() => chmodSync(join(folder, 'p/closed'), 0o700));
  const { stdout, stderr, code } = await minigpt(folder, ['caption', 'p']);
  expect(records(stdout)).toHaveLength(1);
  expect(stderr).toContain('minigpt: p/closed: the folder cannot be read (permission denied)');
  expect(lastLine(stderr)).toMatch(/^minigpt: 1 image captioned in .*\)\. 1 folder could not be read\.$/);
  expect(code).toBe(1);
});
