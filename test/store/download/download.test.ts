import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DownloadError } from '../../../src/errors.ts';
import { download, parseContentRange, type Download } from '../../../src/store/download/download.ts';
import { makeMeans } from '../download-means.ts';
import { HubServer, sha256 } from '../hub-server.ts';

const CONTENT = Buffer.from(Array.from({ length: 50_000 }, (_, index) => (index * 31) % 251));

let folder: string;
let server: HubServer;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-download-'));
  server = await HubServer.start({ 'plain/files': { 'a.pth': CONTENT, 'empty.pth': Buffer.alloc(0) } });
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

function fileOf(changes: Partial<Download> = {}): Download {
  return {
    url: new URL(server.plain('a.pth')),
    subject: { name: 'a.pth' },
    target: join(folder, 'a.pth'),
    partial: join(folder, 'a.incomplete'),
    bytes: CONTENT.length,
    checksum: { kind: 'sha256', hex: sha256(CONTENT) },
    ...changes,
  };
}

const partialOf = async (bytes: number) => writeFile(join(folder, 'a.incomplete'), CONTENT.subarray(0, bytes));
const expectWhole = async () => {
  expect(await readFile(join(folder, 'a.pth'))).toEqual(CONTENT);
  expect(await readdir(folder)).toEqual(['a.pth']);
};

test('a file arrives whole under its name, and nothing else stays', async () => {
  const means = makeMeans();
  await download(fileOf(), means);
  await expectWhole();
  expect(means.observer.started).toEqual(['a.pth: 0 of 50000']);
  expect(means.observer.done).toBe(50_000);
  expect(server.downloads).toEqual(['a.pth from the start']);
});

test('an empty file needs no request', async () => {
  const empty = Buffer.alloc(0);
  await download(fileOf({ bytes: 0, checksum: { kind: 'sha256', hex: sha256(empty) } }), makeMeans());
  expect(await readFile(join(folder, 'a.pth'))).toEqual(empty);
  expect(server.requests).toEqual([]);
});

describe('what an earlier process left', () => {
  test('is gone on with, and only the rest is asked for', async () => {
    await partialOf(12_345);
    const means = makeMeans();
    await download(fileOf(), means);
    await expectWhole();
    expect(server.downloads).toEqual(['a.pth from bytes=12345-']);
    expect(means.observer.started).toEqual(['a.pth: 12345 of 50000']);
    expect(means.observer.done).toBe(50_000 - 12_345);
  });

  test('is only checked where it is whole', async () => {
    await partialOf(50_000);
    await download(fileOf(), makeMeans());
    await expectWhole();
    expect(server.requests).toEqual([]);
  });

  test('is thrown away where it is longer than the file', async () => {
    await writeFile(join(folder, 'a.incomplete'), Buffer.alloc(50_001));
    await download(fileOf(), makeMeans());
    await expectWhole();
  });

  test('is thrown away where the server does not do ranges', async () => {
    await partialOf(10_000);
    server.trouble(/storage/, { ignoreRange: true });
    const means = makeMeans();
    await download(fileOf(), means);
    await expectWhole();
    expect(means.observer.done).toBe(40_000);
  });

  test('is thrown away where the server answers 416, which is told', async () => {
    await partialOf(10_000);
    server.trouble(/storage/, { status: 416, headers: { 'content-range': 'bytes */50000' } });
    const means = makeMeans();
    await download(fileOf(), means);
    await expectWhole();
    expect(server.downloads).toEqual(['a.pth from bytes=10000-', 'a.pth from the start']);
    expect(means.observer.notes[0]).toMatch(/cannot continue the partial file \(status 416\)/);
  });

  test('is thrown away where the server goes on at another place', async () => {
    await partialOf(10_000);
    server.trouble(/storage/, { headers: { 'content-range': 'bytes 0-49999/50000' } });
    await download(fileOf(), makeMeans());
    await expectWhole();
  });

  test('is found out where it is of another file: removed, and told', async () => {
    await writeFile(join(folder, 'a.incomplete'), Buffer.alloc(10_000));
    const failing = download(fileOf(), makeMeans());
    await expect(failing).rejects.toMatchObject({
      fault: 'wrong-content',
      message: expect.stringMatching(/It was removed; run the same command again/),
    });
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('a connection that breaks off', () => {
  test('is made again, and goes on at the byte where it broke', async () => {
    server.trouble(/storage/, { cutAfter: 20_000 });
    server.trouble(/storage/, { cutAfter: 0 });
    server.trouble(/storage/, { cutAfter: 7000 });
    const means = makeMeans();
    await download(fileOf(), means);
    await expectWhole();
    expect(server.downloads).toHaveLength(4);
    expect(means.observer.notes).toHaveLength(3);
    expect(means.observer.notes[0]).toMatch(/the connection to .* failed/);
  });

  test('at any byte, however often, still gives the file', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(CONTENT.length), { maxLength: 5 }), async (cuts) => {
        await rm(join(folder, 'a.pth'), { force: true });
        for (const cutAfter of cuts) server.trouble(/storage/, { cutAfter });
        await download(fileOf(), makeMeans());
        await expectWhole();
        // A cut at the end of the file leaves nothing to ask for, so later ones meet no request.
        for (; server.troublesLeft > 0;)
          await fetch(server.plain('a.pth'))
            .then(async (r) => r.arrayBuffer())
            .catch(() => undefined);
      }),
      { numRuns: 10 },
    );
  });

  test('six times in a row ends the download; what is there stays, and is gone on with', async () => {
    for (let times = 0; times < 6; times++) server.trouble(/storage/, { cutAfter: times === 0 ? 8000 : 0 });
    const failing = download(fileOf(), makeMeans());
    await expect(failing).rejects.toMatchObject({
      fault: 'connection',
      message: expect.stringMatching(/attempt 6\. Try again later\. Downloaded data is kept/),
    });
    const { length } = await readFile(join(folder, 'a.incomplete'));
    expect(length).toBeGreaterThan(0);
    await download(fileOf(), makeMeans());
    await expectWhole();
    expect(server.downloads.at(-1)).toBe(`a.pth from bytes=${length}-`);
  });

  test('by falling silent is given up and made again', async () => {
    server.trouble(/storage/, { silentAfter: 5000 });
    const means = makeMeans({ silenceMs: 100 });
    await download(fileOf(), means);
    await expectWhole();
    expect(means.observer.notes[0]).toMatch(/nothing arrived for 0\.1 s/);
  });
});

describe('a server that is busy', () => {
  test('with 429 is asked again after the time it names', async () => {
    server.trouble(/storage/, { status: 429, headers: { 'retry-after': '3' } });
    server.trouble(/storage/, { status: 503 });
    const means = makeMeans();
    await download(fileOf(), means);
    await expectWhole();
    expect(means.pauses).toEqual([3000, 2000]);
  });

  test('for good ends the download, named as what it is', async () => {
    for (let times = 0; times < 6; times++) server.trouble(/storage/, { status: 429, headers: { 'retry-after': '0' } });
    await expect(download(fileOf(), makeMeans())).rejects.toMatchObject({
      fault: 'too-many-requests',
      message: expect.stringMatching(/too many requests from here \(429\)/),
    });
  });
});

test.each([
  [403, 'access-refused', /refuses access \(403\)/],
  [404, 'not-found', /has no such file \(404\)/],
  [418, 'bad-answer', /answers with status 418 instead of the file/],
] as const)('status %i ends the download at once', async (status, fault, message) => {
  server.trouble(/storage/, { status });
  const means = makeMeans();
  await expect(download(fileOf(), means)).rejects.toMatchObject({ fault, message: expect.stringMatching(message) });
  expect(means.pauses).toEqual([]);
});

describe('what is not the published file is never kept', () => {
  test('other content of the same size', async () => {
    server.trouble(/storage/, { content: Buffer.alloc(50_000, 1) });
    const failing = download(fileOf(), makeMeans());
    await expect(failing).rejects.toThrow(DownloadError);
    await expect(failing).rejects.toThrow(
      `its sha256 should be ${sha256(CONTENT)} but is ${sha256(Buffer.alloc(50_000, 1))}`,
    );
    expect(await readdir(folder)).toEqual([]);
  });

  test.each([49_999, 50_001])('content of %i bytes', async (size) => {
    server.trouble(/storage/, { content: Buffer.alloc(size) });
    await expect(download(fileOf(), makeMeans())).rejects.toMatchObject({ fault: 'wrong-content' });
    expect(await readdir(folder)).toEqual([]);
  });

  test('a rest that belongs to a file of another size', async () => {
    await partialOf(100);
    server.trouble(/storage/, { content: Buffer.alloc(60_000) });
    await expect(download(fileOf(), makeMeans())).rejects.toThrow(
      /should have 50000 bytes, but 127\.0\.0\.1:\d+ has one of 60000/,
    );
    expect(await readdir(folder)).toEqual([]);
  });
});

test('an abort keeps what has arrived', async () => {
  const controller = new AbortController();
  const sent = server.allow(16_384);
  const failing = download(fileOf(), makeMeans({ signal: controller.signal }));
  await sent;
  controller.abort(new Error('enough'));
  await expect(failing).rejects.toThrow('enough');
  expect(await readdir(folder)).toEqual(['a.incomplete']);
  server.allowEverything();
  await download(fileOf(), makeMeans());
  await expectWhole();
});

test.skipIf(!existsSync('/dev/full'))('a disk that fills up is told with what is needed and what is free', async () => {
  await symlink('/dev/full', join(folder, 'a.incomplete'));
  const failing = download(fileOf(), makeMeans({ free: 1234 }));
  await expect(failing).rejects.toMatchObject({ fault: 'disk-full' });
  await expect(failing).rejects.toThrow(
    /there is not enough space on the disk of .* \(50,000 bytes more are needed, 1,234 bytes are free\)/,
  );
});

test('a folder that is not there is told as such', async () => {
  const failing = download(fileOf({ partial: join(folder, 'no', 'a.incomplete') }), makeMeans());
  await expect(failing).rejects.toMatchObject({
    fault: 'disk',
    message: expect.stringMatching(/cannot be stored in .*ENOENT/),
  });
});

test.each([
  ['bytes 5-9/10', 5, 10],
  ['bytes 5-9/*', 5, undefined],
  ['bytes */10', undefined, 10],
  ['items 5-9/10', undefined, undefined],
  [null, undefined, undefined],
])('Content-Range %j is understood', (value, first, total) => {
  expect(parseContentRange(value)).toEqual({ first, total });
});
