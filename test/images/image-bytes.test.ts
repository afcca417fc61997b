import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { readImageBytes } from '../../src/images/image-bytes.ts';
import { temporaryFolder } from './fixture-images.ts';

const onWindows = process.platform === 'win32';
let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
});

/** What is said of a path that must not be readable. */
async function failure(path: string): Promise<{ code: unknown; message: string }> {
  const error: unknown = await readImageBytes(path).then(
    () => new Error('the path was read'),
    (reason: unknown) => reason,
  );
  const { code, message } = error as { code: unknown; message: string };
  return { code, message };
}

describe.skipIf(onWindows)('what is no regular file is refused without waiting', () => {
  test('a pipe that nobody writes into', async () => {
    execFileSync('mkfifo', [join(folder, 'a.jpg')]);
    expect(await failure(join(folder, 'a.jpg'))).toEqual({
      code: 'unreadable-image',
      message: 'this is a pipe, not an image file.',
    });
  });

  test('a socket', async () => {
    const server = createServer().listen(join(folder, 'a.jpg'));
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    expect(await failure(join(folder, 'a.jpg'))).toEqual({
      code: 'unreadable-image',
      message: 'this is a socket, not an image file.',
    });
  });

  test('a link to a device without an end', async () => {
    await symlink('/dev/zero', join(folder, 'a.jpg'));
    expect(await failure(join(folder, 'a.jpg'))).toEqual({
      code: 'unreadable-image',
      message: 'this is a device, not an image file.',
    });
  });

  test('standard input, whatever it is', async () => {
    expect(await failure('/dev/stdin')).toEqual({
      code: 'unreadable-image',
      message: 'an image cannot be read from standard input. Save it in a file, and name that.',
    });
  });
});

describe('a path that leads nowhere is explained', () => {
  test.skipIf(onWindows)('by the link that it is', async () => {
    await symlink('nowhere.jpg', join(folder, 'dangling.jpg'));
    await symlink('circle.jpg', join(folder, 'circle.jpg'));
    expect(await failure(join(folder, 'dangling.jpg'))).toEqual({
      code: 'file-not-found',
      message: 'this is a link to nowhere.jpg, which does not exist.',
    });
    expect(await failure(join(folder, 'circle.jpg'))).toEqual({
      code: 'file-not-found',
      message: 'this is a link to circle.jpg, which leads back to the link.',
    });
  });

  test.each([
    ['', 'the path is empty.'],
    ['-', /^there is no such file, and "-" does not stand for standard input here\. .*--files-from -\.$/],
    ['https://example.org/a.jpg', /Download the image first\.$/],
    ['s3://photos/a.jpg', /^this is an address, and only files of this computer are read\./],
    ['~other/a.jpg', /^there is no such file\. Only "~\/" stands for a home folder/],
    ['"a.jpg"', 'there is no such file. Write the path without quotation marks.'],
    ["it's gone.jpg", 'there is no such file.'],
  ])('%j', async (path, message) => {
    const missing = await failure(path);
    expect(missing.code).toBe('file-not-found');
    expect(missing.message).toMatch(message);
  });
});
