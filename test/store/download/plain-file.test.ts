import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { fetchPlainFile, plainFilePath } from '../../../src/store/download/plain-file.ts';
import { makeMeans } from '../download-means.ts';
import { HubServer } from '../hub-server.ts';

const CONTENT = Buffer.alloc(30_000, 'eva');

let home: string;
let server: HubServer;
let url: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'minigpt-plain-'));
  vi.stubEnv('MINIGPT_HOME', home);
  server = await HubServer.start({ 'plain/files': { 'eva_vit_g.pth': CONTENT } });
  url = server.plain('eva_vit_g.pth');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await server.close();
  await rm(home, { recursive: true });
});

const options = { name: 'eva_vit_g.pth', offline: false };

test('a file is kept below downloads/ of the data folder, under its name, and fetched once', async () => {
  const path = await fetchPlainFile(url, options, makeMeans());
  expect(path).toMatch(/downloads[/\\][0-9a-f]{12}[/\\]eva_vit_g\.pth$/);
  expect(path.startsWith(home)).toBe(true);
  expect(await readFile(path)).toEqual(CONTENT);
  expect(await readdir(dirname(path))).toEqual(['eva_vit_g.pth']);
  const { length } = server.requests;
  expect(await fetchPlainFile(url, options, makeMeans())).toBe(path);
  expect(server.requests).toHaveLength(length);
});

test('two addresses that end in the same name do not meet', () => {
  expect(plainFilePath('https://a.example/x.pth', 'x.pth')).not.toBe(plainFilePath('https://b.example/x.pth', 'x.pth'));
});

test('an interrupted download is gone on with', async () => {
  for (let times = 0; times < 6; times++)
    server.trouble(/storage/, times === 0 ? { headers: {} } : { cutAfter: times === 1 ? 9000 : 0 });
  server.trouble(/storage/, { cutAfter: 0 });
  await expect(fetchPlainFile(url, options, makeMeans())).rejects.toMatchObject({ fault: 'connection' });
  const means = makeMeans();
  await fetchPlainFile(url, options, means);
  expect(means.observer.started).toEqual([expect.stringMatching(/: [1-9]\d* of 30000$/)]);
});

test('what was fetched of an earlier version of the file is not gone on with', async () => {
  const folder = dirname(plainFilePath(url, options.name));
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'eva_vit_g.pth.0123456789ab.incomplete'), Buffer.alloc(9000));
  const means = makeMeans();
  await fetchPlainFile(url, options, means);
  expect(means.observer.started).toEqual([`${url}: 0 of 30000`]);
  expect(await readdir(folder)).toEqual(['eva_vit_g.pth']);
});

test('content that differs from the md5 of the storage is not kept', async () => {
  server.trouble(/storage/, { headers: {} });
  server.trouble(/storage/, { content: Buffer.alloc(30_000) });
  await expect(fetchPlainFile(url, options, makeMeans())).rejects.toThrow(/its md5 should be/);
  expect(existsSync(plainFilePath(url, options.name))).toBe(false);
});

test('a web page in the place of the file is refused, and another way is named', async () => {
  server.trouble(/storage/, {
    status: 200,
    headers: { 'content-type': 'text/html; charset=utf-8' },
    body: '<html>log in</html>',
  });
  await expect(fetchPlainFile(url, options, makeMeans())).rejects.toThrow(
    /sends a web page instead of the file.*minigpt models import/,
  );
});

test('a server that states no size is refused', async () => {
  server.trouble(/storage/, { status: 200, headers: { 'transfer-encoding': 'chunked' }, body: 'abc' });
  await expect(fetchPlainFile(url, options, makeMeans())).rejects.toThrow(/does not say how large the file is/);
});

test('a server without ranges and checksums will do', async () => {
  server.trouble(/storage/, { ignoreRange: true });
  server.trouble(/storage/, { headers: { 'x-goog-hash': 'crc32c=AAAAAA==' } });
  expect(await readFile(await fetchPlainFile(url, options, makeMeans()))).toEqual(CONTENT);
});

test('a disk without room is told before anything is fetched', async () => {
  const failing = fetchPlainFile(url, options, makeMeans({ free: 29_999 }));
  await expect(failing).rejects.toMatchObject({
    fault: 'disk-full',
    message: expect.stringMatching(/30,000 bytes more are needed, 29,999 bytes are free/),
  });
  expect(server.downloads).toEqual(['eva_vit_g.pth from bytes=0-0']);
});

test('offline, what is not there is named and nobody is asked', async () => {
  await expect(fetchPlainFile(url, { ...options, offline: true }, makeMeans())).rejects.toMatchObject({
    fault: 'offline',
  });
  expect(server.requests).toEqual([]);
});
