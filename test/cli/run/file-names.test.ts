/** Names that are not UTF-8, lists of paths, and one file under several names: through the built binary. */
import { parse } from 'csv-parse/sync';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { constants, copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { beforeEach, describe, expect, test } from 'vitest';
import { lastLine, minigpt, placePhoto, records, shell, start, temporaryFolder } from '../binary.ts';

const onWindows = process.platform === 'win32';
const latin1 = (name: string): Buffer => Buffer.from(name, 'latin1');
let folder: string;

beforeEach(() => {
  folder = temporaryFolder();
  placePhoto(join(folder, 'p/a.jpg'));
});

const imagesIn = (output: string): unknown[] => records(output).map(({ image }) => image);

describe.skipIf(process.platform !== 'linux')('two names in Latin-1 that read alike', () => {
  const shown = [String.raw`q/caf\xE8.jpg`, String.raw`q/caf\xE9.jpg`];

  beforeEach(() => {
    mkdirSync(join(folder, 'q'));
    for (const [index, name] of ['caf\xE8.jpg', 'caf\xE9.jpg'].entries()) {
      placePhoto(join(folder, 'photo.jpg'), 3 * index);
      copyFileSync(join(folder, 'photo.jpg'), Buffer.concat([Buffer.from(join(folder, 'q/')), latin1(name)]));
    }
  });

  test('have two captions, in a folder and from the shell', async () => {
    const { stdout, code } = await minigpt(folder, ['caption', 'q']);
    expect([imagesIn(stdout), code]).toEqual([shown, 0]);
    const [first, second] = records(stdout);
    expect(first?.['caption']).not.toBe(second?.['caption']);

    const expanded = await shell(folder, 'minigpt caption q/caf*.jpg');
    expect(expanded.stdout).toBe(stdout);
  });

  test('are found by a list of records and by a list of their bytes', async () => {
    writeFileSync(join(folder, 'list.txt'), `${shown.join('\n')}\n`);
    const listed = await minigpt(folder, ['caption', '--files-from', 'list.txt']);
    expect([imagesIn(listed.stdout), listed.code]).toEqual([shown, 0]);
    const found = await shell(folder, 'find q -name "*.jpg" -print0 | minigpt caption -0 --files-from -');
    expect(found.stdout).toBe(listed.stdout);
  });

  test('are shown in the same form in CSV, text and messages', async () => {
    execFileSync('sh', ['-c', 'for f in q/*.jpg; do : > "$f"; done'], { cwd: folder });
    const csv = await minigpt(folder, ['caption', 'q', '--format', 'csv']);
    const rows: { image: string }[] = parse(csv.stdout, { columns: true });
    expect(rows.map(({ image }) => image)).toEqual(shown);
    for (const path of shown) expect(csv.stderr).toContain(`minigpt: ${path}: the file is empty (0 bytes).\n`);
    const plain = await minigpt(folder, ['caption', 'q', '--format', 'text']);
    expect(plain.stdout).toBe(shown.map((path) => `${path}: error: the file is empty (0 bytes).\n`).join(''));
  });
});

describe('a list', () => {
  test.each([
    ['UTF-16, as PowerShell writes it', Buffer.from('\uFEFFp/ü.jpg\r\np/a.jpg\r\n', 'utf16le')],
    ['UTF-8 with a byte order mark', Buffer.from('\uFEFFp/a.jpg\r\n\r\np/ü.jpg\r\n')],
  ])('may be in %s', async (_, bytes) => {
    placePhoto(join(folder, 'p/ü.jpg'));
    writeFileSync(join(folder, 'list.txt'), bytes);
    const { stdout, code } = await minigpt(folder, ['caption', '--files-from', 'list.txt']);
    expect([imagesIn(stdout), code]).toEqual([['p/a.jpg', 'p/ü.jpg'], 0]);
  });

  test('of people may hold addresses, quotation marks and dashes: what is no file says what to do', async () => {
    const address = pathToFileURL(join(folder, 'p/a.jpg')).href;
    const lines = [address, 'https://example.org/b.jpg', '"p/a.jpg"', '-', '~/no-such-folder/a.jpg'];
    const { stdout, stderr, code } = await minigpt(folder, ['caption', '--files-from', '-'], lines.join('\n'));
    const path = join(folder, 'p/a.jpg').replaceAll('\\', '/');
    expect(records(stdout).filter((record) => 'caption' in record)).toMatchObject([{ image: path }]);
    expect(stderr).toContain('minigpt: https://example.org/b.jpg: this is the address of a web page');
    expect(stderr).toContain('minigpt: "p/a.jpg": there is no such file. Write the path without quotation marks.');
    expect(stderr).toContain('minigpt: -: there is no such file, and "-" does not stand for standard input here.');
    expect(stderr).toMatch(/^minigpt: .+\/no-such-folder\/a\.jpg: there is no such file\.$/m);
    expect(lastLine(stderr)).toMatch(/^minigpt: 1 image captioned, 4 failed, in /);
    expect(code).toBe(1);
  });

  test('with an empty name between NULs has an error for it', async () => {
    const { stdout, code } = await minigpt(folder, ['caption', '-0', '--files-from', '-'], 'p/a.jpg\0\0');
    expect(records(stdout)).toMatchObject([
      { image: '', error: { code: 'file-not-found', message: 'the path is empty.' } },
      { image: 'p/a.jpg', caption: expect.any(String) },
    ]);
    expect(code).toBe(1);
  });

  test('with NULs that are not expected is refused', async () => {
    const { stderr, code } = await minigpt(folder, ['caption', '--files-from', '-'], 'p/a.jpg\0p/b.jpg\0');
    expect(stderr).toMatch(/^minigpt: the list of --files-from holds NUL characters\. .* add --null; /);
    expect(code).toBe(2);
  });

  test('that is waited for on standard input can be interrupted', async () => {
    const child = start(folder, ['caption', '--files-from', '-']);
    const stderr = text(child.stderr);
    const closed = once(child, 'close');
    // More than any pipe holds: when it is gone, the program reads.
    await new Promise((resolve) => void child.stdin.write('\n'.repeat(2 ** 21), resolve));
    child.kill('SIGINT');
    expect(await closed).toEqual([130, null]);
    expect(await stderr).toBe('minigpt: interrupted before the first image was captioned.\n');
  });

  test.skipIf(onWindows)('that is a pipe without a writer can be interrupted', async () => {
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    const child = start(folder, ['caption', '--files-from', 'pipe']);
    const stderr = text(child.stderr);
    const closed = once(child, 'close');
    const writer = await openWhenRead(join(folder, 'pipe'));
    child.kill('SIGINT');
    expect(await closed).toEqual([130, null]);
    expect(await stderr).toBe('minigpt: interrupted before the first image was captioned.\n');
    await writer.close();
  });
});

/** Opens a pipe to write as soon as somebody reads it. Before that, the system refuses. */
async function openWhenRead(pipe: string): Promise<FileHandle> {
  for (;;) {
    try {
      return await open(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

test.skipIf(onWindows)('one file under several names is one image, under the name that came first', async () => {
  symlinkSync('p', join(folder, 'q'));
  const names = ['./p/a.jpg', join(folder, 'p/a.jpg'), 'p', 'q', 'q/a.jpg'];
  const { stdout, stderr } = await minigpt(folder, ['caption', ...names, '--verbose']);
  expect(imagesIn(stdout)).toEqual(['p/a.jpg']);
  expect(stderr).toContain('minigpt: q/a.jpg: left out (the same file as p/a.jpg).\n');
  expect(stderr).toContain('minigpt: q: left out (the same folder as p).\n');
});

test.skipIf(onWindows)('marks that control a terminal are escaped in JSONL, and raw in CSV', async () => {
  const name = 'p/\u001B[31m\u009B\u202Egpj.\r\n.jpg';
  placePhoto(join(folder, name));
  const { stdout } = await minigpt(folder, ['caption', name]);
  expect(stdout).toContain(String.raw`{"schema":1,"image":"p/\u001b[31m\u009b\u202egpj.\r\n.jpg"`);
  expect(imagesIn(stdout)).toEqual([name]);
  await minigpt(folder, ['caption', name, '-o', 'x.csv']);
  const rows: { image: string }[] = parse(readFileSync(join(folder, 'x.csv')), { columns: true });
  expect(rows.map(({ image }) => image)).toEqual([name]);
});
