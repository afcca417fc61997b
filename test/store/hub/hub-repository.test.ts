import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { scanCacheDir } from '@huggingface/hub';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { UsageError } from '../../../src/errors.ts';
import { HubRepository } from '../../../src/store/hub/hub-repository.ts';
import type { HubSettings } from '../../../src/store/hub/hub-settings.ts';
import { makeMeans } from '../download-means.ts';
import { COMMIT, gitBlobId, HubServer, sha256 } from '../hub-server.ts';

const CONFIG = Buffer.from('{"model_type":"blip-2"}');
const WEIGHTS = Buffer.alloc(40_000, 'w');
const NAME = 'org/some-model';

let cacheFolder: string;
let server: HubServer;
let settings: HubSettings;
beforeEach(async () => {
  cacheFolder = await mkdtemp(join(tmpdir(), 'minigpt-hub-'));
  server = await HubServer.start({
    [NAME]: { 'config.json': CONFIG, 'model.safetensors': WEIGHTS, 'sub folder/note.txt': Buffer.from('ä') },
  });
  settings = { endpoint: server.endpoint, cacheFolder, token: undefined, offline: false };
});
afterEach(async () => {
  await server.close();
  await rm(cacheFolder, { recursive: true });
});

const open = async (revision = 'main', means = makeMeans(), changes: Partial<HubSettings> = {}) =>
  HubRepository.open(NAME, revision, { ...settings, ...changes }, means);
const folder = () => join(cacheFolder, 'models--org--some-model');

describe('a repository', () => {
  test('is known by its commit and its files, with their sizes and checksums', async () => {
    const repository = await open();
    expect(repository.commit).toBe(COMMIT);
    expect([...repository.files.values()]).toEqual([
      { path: 'config.json', bytes: CONFIG.length, checksum: { kind: 'git-blob', hex: gitBlobId(CONFIG) } },
      { path: 'model.safetensors', bytes: 40_000, checksum: { kind: 'sha256', hex: sha256(WEIGHTS) } },
      { path: 'sub folder/note.txt', bytes: 2, checksum: { kind: 'git-blob', hex: expect.any(String) } },
    ]);
  });

  test('with many files is listed page by page', async () => {
    server.pageSize = 1;
    expect([...(await open()).files.keys()]).toEqual(['config.json', 'model.safetensors', 'sub folder/note.txt']);
  });

  test('whose listing fails for a moment is asked again', async () => {
    server.trouble(/tree/, { status: 503 });
    server.trouble(/revision/, { status: 429, headers: { 'retry-after': '0' } });
    const means = makeMeans();
    await open('main', means);
    expect(means.pauses).toEqual([0, 1000]);
  });

  test.each(['name', 'a/b/c', '../x', 'a/..', 'a/b--c', 'a/b?c'])('cannot be called %j', async (name) => {
    await expect(HubRepository.open(name, 'main', settings, makeMeans())).rejects.toThrow(UsageError);
    expect(server.requests).toEqual([]);
  });

  test.each(['', '..', 'a/../b', '/a', 'a?b', '-x'])('has no revision %j', async (revision) => {
    await expect(open(revision)).rejects.toThrow(UsageError);
  });
});

describe('fetched files', () => {
  test('lie in the layout that all tools of the hub share', async () => {
    const repository = await open();
    await repository.fetch(['config.json', 'model.safetensors', 'sub folder/note.txt']);
    expect(await readFile(join(folder(), 'refs/main'), 'utf8')).toBe(COMMIT);
    expect((await readdir(join(folder(), 'blobs'))).toSorted()).toEqual(
      [gitBlobId(CONFIG), gitBlobId(Buffer.from('ä')), sha256(WEIGHTS)].toSorted(),
    );
    expect(await readFile(repository.path('model.safetensors'))).toEqual(WEIGHTS);
    expect(await readFile(join(repository.folder, 'sub folder', 'note.txt'), 'utf8')).toBe('ä');
    // The package counts the files at the top.
    const { repos, warnings } = await scanCacheDir(cacheFolder);
    expect(warnings).toEqual([]);
    expect(repos).toMatchObject([
      { id: { name: NAME, type: 'model' }, filesCount: 2, revisions: [{ commitOid: COMMIT, refs: ['main'] }] },
    ]);
  });

  test.skipIf(process.platform === 'win32')('are links that stay right when the cache is moved', async () => {
    const repository = await open();
    await repository.fetch(['config.json', 'sub folder/note.txt']);
    expect(await readlink(repository.path('config.json'))).toBe(`../../blobs/${gitBlobId(CONFIG)}`);
    expect(await readlink(repository.path('sub folder/note.txt'))).toMatch(/^\.\.\/\.\.\/\.\.\/blobs\//);
  });

  test('are fetched once, whatever the revision is called', async () => {
    await (await open()).fetch(['model.safetensors']);
    const again = await open('v1.0');
    const fetched: string[] = [];
    await again.fetch(['model.safetensors'], ({ path }) => fetched.push(path));
    expect(fetched).toEqual([]);
    expect(server.downloads).toHaveLength(1);
    expect(await readFile(join(folder(), 'refs/v1.0'), 'utf8')).toBe(COMMIT);
  });

  test('that another tool fetched are used, and one that it left half is gone on with', async () => {
    await mkdir(join(folder(), 'blobs'), { recursive: true });
    await writeFile(join(folder(), 'blobs', gitBlobId(CONFIG)), CONFIG);
    await writeFile(join(folder(), 'blobs', `${sha256(WEIGHTS)}.incomplete`), WEIGHTS.subarray(0, 30_000));
    const repository = await open();
    await repository.fetch(['config.json', 'model.safetensors']);
    expect(server.downloads).toEqual(['model.safetensors from bytes=30000-']);
    expect(server.requests.some(({ path }) => path.endsWith('resolve/main/config.json'))).toBe(false);
    expect(await readFile(repository.path('config.json'))).toEqual(CONFIG);
  });

  test('whose content somebody removed are fetched again', async () => {
    const repository = await open();
    await repository.fetch(['config.json']);
    await rm(join(folder(), 'blobs', gitBlobId(CONFIG)));
    await repository.fetch(['config.json']);
    expect(await readFile(repository.path('config.json'))).toEqual(CONFIG);
  });

  test('that are damaged here are refused and named', async () => {
    const repository = await open();
    await repository.fetch(['config.json']);
    await writeFile(repository.path('config.json'), 'short');
    await expect(repository.fetch(['config.json'])).rejects.toThrow(
      /config\.json has 5 bytes instead of 23, so it is damaged\. Remove it/,
    );
  });

  test('that do not exist are all named, before any is fetched', async () => {
    const repository = await open();
    await expect(repository.fetch(['config.json', 'a.bin', 'b.bin'])).rejects.toMatchObject({
      fault: 'not-found',
      message: 'org/some-model: the repository has no a.bin, b.bin at main.',
    });
    expect(await readdir(folder())).toEqual(['refs']);
  });

  test('that the hub announces with another checksum than it listed are refused', async () => {
    const repository = await open();
    server.trouble(/resolve/, { headers: { 'x-linked-etag': `"${'0'.repeat(64)}"` } });
    await expect(repository.fetch(['model.safetensors'])).rejects.toThrow(
      /lists it with the checksum .* but sends a file with the checksum 0000/,
    );
  });

  test('of the wrong content are removed, also small ones', async () => {
    const repository = await open();
    server.trouble(/config/, { content: Buffer.alloc(CONFIG.length) });
    await expect(repository.fetch(['config.json'])).rejects.toThrow(
      /org\/some-model, config\.json: .*its git-blob should be/,
    );
    expect(await readdir(join(folder(), 'blobs'))).toEqual([]);
  });

  test('that do not fit on the disk are refused before the first, counting what is there', async () => {
    await mkdir(join(folder(), 'blobs'), { recursive: true });
    await writeFile(join(folder(), 'blobs', `${sha256(WEIGHTS)}.incomplete`), WEIGHTS.subarray(0, 30_000));
    const repository = await open('main', makeMeans({ free: 9000 }));
    await expect(repository.fetch(['model.safetensors', 'config.json'])).rejects.toThrow(
      /10,023 bytes more are needed, 9,000 bytes are free/,
    );
    expect(server.downloads).toEqual([]);
    await (await open('main', makeMeans({ free: 10_023 }))).fetch(['model.safetensors', 'config.json']);
  });

  test('are fetched by one process at a time; the other then finds them', async () => {
    let fetching = Promise.resolve();
    const one = await open();
    const two = await open('main', makeMeans({ wait: async () => fetching }));
    fetching = one.fetch(['model.safetensors']);
    const fetched: string[] = [];
    await Promise.all([fetching, two.fetch(['model.safetensors'], ({ path }) => fetched.push(path))]);
    expect(server.downloads).toEqual(['model.safetensors from the start']);
    expect(await readdir(join(folder(), 'blobs'))).toEqual([sha256(WEIGHTS)]);
  });
});

describe('a refusal says what to do', () => {
  test.each([
    [
      'for a repository that is not there or not open',
      'org/other',
      undefined,
      /refuses access \(401\)\. It does not exist, or it is not public\. Open http.*org\/other, .*set HF_TOKEN/,
    ],
    [
      'for a repository that is not there, with a token',
      'org/other',
      'hf_right',
      /has no such file \(404\)\. Check the repository/,
    ],
    [
      'for terms that were not accepted',
      NAME,
      undefined,
      /refuses access \(401\)\. Its terms must be accepted first\. Open .*set HF_TOKEN/,
    ],
    [
      'for a token without the right',
      NAME,
      'hf_wrong',
      /refuses access \(403\)\. The access token in HF_TOKEN has no right to read it\./,
    ],
  ])('%s', async (_, name, token, message) => {
    server.gated.add(NAME);
    const http = makeMeans({ authorization: () => (token === undefined ? undefined : `Bearer ${token}`) });
    const opening = HubRepository.open(name, 'main', { ...settings, token }, http);
    const failing = opening.then(async (repository) => repository.fetch(['config.json']));
    await expect(failing).rejects.toThrow(message);
    await expect(failing).rejects.not.toThrow(/hf_(right|wrong)/);
  });

  test('for a revision that is not there', async () => {
    await expect(open('v9')).rejects.toThrow(/It has no revision "v9"; http.*lists the revisions/);
  });

  test('for what is no hub', async () => {
    server.trouble(/revision/, { status: 200, body: '<html>' });
    await expect(open()).rejects.toMatchObject({
      fault: 'bad-answer',
      message: expect.stringMatching(/Check HF_ENDPOINT/),
    });
  });
});

describe('a listing that would write elsewhere is refused', () => {
  test.each(['../x', 'a/../../x', '/etc/passwd', String.raw`a\b`, 'C:x', 'a//b', ''])('%j', async (path) => {
    const body = JSON.stringify([{ type: 'file', path, size: 1, oid: '0'.repeat(40) }]);
    server.trouble(/tree/, { status: 200, headers: { 'content-type': 'application/json' }, body });
    await expect(open()).rejects.toMatchObject({ fault: 'bad-answer' });
  });

  test('a commit that is a path', async () => {
    server.trouble(/revision/, {
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: '{"id":"x","sha":"../../x"}',
    });
    await expect(open()).rejects.toMatchObject({ fault: 'bad-answer' });
  });
});

describe('offline', () => {
  test('a repository is what the cache has of it, and nobody is asked', async () => {
    await (await open()).fetch(['config.json', 'sub folder/note.txt']);
    const { length } = server.requests;
    const repository = await open('main', makeMeans(), { offline: true });
    expect([repository.commit, ...repository.files.keys()]).toEqual([COMMIT, 'config.json', 'sub folder/note.txt']);
    await repository.fetch(['config.json']);
    expect((await open(COMMIT, makeMeans(), { offline: true })).commit).toBe(COMMIT);
    expect(server.requests).toHaveLength(length);
  });

  test('what is missing is named', async () => {
    await expect(open('main', makeMeans(), { offline: true })).rejects.toThrow(
      /the cache does not contain the revision "main" .*HF_HUB_OFFLINE=0/,
    );
    await (await open()).fetch(['config.json']);
    const repository = await open('main', makeMeans(), { offline: true });
    await expect(repository.fetch(['config.json', 'model.safetensors'])).rejects.toThrow(
      /the cache does not contain model\.safetensors /,
    );
  });
});

test.skipIf(process.platform === 'win32')(
  'a file in the snapshot is a link, and its folder holds no other leftovers',
  async () => {
    const repository = await open();
    await repository.fetch(['config.json']);
    expect((await lstat(repository.path('config.json'))).isSymbolicLink()).toBe(true);
    expect(await readdir(dirname(repository.path('config.json')))).toEqual(['config.json']);
  },
);
