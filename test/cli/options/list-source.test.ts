import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { readList } from '../../../src/cli/options/list-source.ts';

const noInput = Readable.from([]);
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-list-'));
  onTestFinished(async () => rm(folder, { recursive: true, force: true }));
});

const read = async (path: string, stdin: Readable = noInput, signal?: AbortSignal): Promise<Buffer> =>
  readList(path, stdin, signal);

test('a file and standard input give their bytes as they are', async () => {
  const bytes = Buffer.from('caf\xE9.jpg\0', 'latin1');
  await writeFile(join(folder, 'list'), bytes);
  expect(await read(join(folder, 'list'))).toEqual(bytes);
  expect(await read('-', Readable.from([bytes.subarray(0, 3), bytes.subarray(3)]))).toEqual(bytes);
  expect(await read('/dev/stdin', Readable.from([bytes]))).toEqual(bytes);
});

test('what is no list is refused', async () => {
  await expect(read(folder)).rejects.toThrow(`--files-from ${folder}: this is a folder. Give it without --files-from.`);
  await expect(read(join(folder, 'none'))).rejects.toThrow('there is no such file.');
});

test('waiting for standard input ends with an abort', async () => {
  const controller = new AbortController();
  const reading = read('-', new PassThrough(), controller.signal);
  controller.abort();
  await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
});

describe.skipIf(process.platform === 'win32')('pipes and devices', () => {
  test('a device without an end is refused', async () => {
    await expect(read('/dev/zero')).rejects.toThrow('--files-from /dev/zero: this is not a list.');
  });

  test('a pipe is read to its end, however late somebody writes into it', async () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const reading = read(pipe);
    // By the time that the reader has opened it, this may be too early or too late.
    await Promise.all([writeFile(pipe, 'a.jpg\nb.jpg\n'), reading]);
    expect((await reading).toString()).toBe('a.jpg\nb.jpg\n');
  });

  test('waiting for a pipe that nobody writes into ends with an abort', async () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const controller = new AbortController();
    const reading = read(pipe, noInput, controller.signal);
    setImmediate(() => controller.abort());
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
  });
});
