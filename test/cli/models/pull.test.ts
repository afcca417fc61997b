/** `minigpt models pull` through the built binary, with a hub on this machine. */
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, watch, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import * as fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { HubServer, type Repository } from '../../store/hub-server.ts';
import { lastLine, minigpt, ROOT, start, temporaryFolder } from '../binary.ts';

const FIXTURE = join(ROOT, 'test/fixtures/hf-blip2-opt/model');
const CHECKPOINT: Repository = Object.fromEntries(
  readdirSync(FIXTURE).map((name) => [name, readFileSync(join(FIXTURE, name))]),
);
const DOWNLOAD_BYTES = Object.values(CHECKPOINT).reduce((sum, content) => sum + content.length, 0);

let server: HubServer;
let folder: string;

beforeAll(async () => {
  server = await HubServer.start({
    'org/tiny': CHECKPOINT,
    'Salesforce/blip2-opt-2.7b': CHECKPOINT,
    'org/llama': { ...CHECKPOINT, 'config.json': Buffer.from('{"model_type":"llama"}') },
    'org/bloom': {
      ...CHECKPOINT,
      'config.json': Buffer.from('{"model_type":"blip-2","text_config":{"model_type":"bloom"}}'),
    },
  });
});
afterAll(async () => server.close());

beforeEach(() => {
  folder = temporaryFolder();
  mkdirSync(blobs(), { recursive: true });
  useCache(folder);
});
afterEach(() => vi.unstubAllEnvs());

/** Points the hub's variables of the next processes at the local hub and at a cache below `home`. */
function useCache(home: string): void {
  for (const name of ['HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'HF_TOKEN', 'HF_TOKEN_PATH', 'HF_HUB_OFFLINE']) {
    vi.stubEnv(name, undefined);
  }
  vi.stubEnv('HF_HOME', join(home, 'hf'));
  vi.stubEnv('HF_ENDPOINT', server.endpoint);
}

const run = async (...args: string[]) => minigpt(folder, ['models', ...args]);
const packFolder = (id: string, home = folder) => join(home, '.minigpt/models', id);

async function filesOf(directory: string): Promise<Map<string, Buffer>> {
  const names = (await readdir(directory)).toSorted();
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(directory, name))] as const)));
}

const blobs = () => join(folder, 'hf/hub/models--org--tiny/blobs');

/** Bytes that the cache below `folder` has of the repository, in whole files and partial ones. */
function bytesHere(): number {
  const names = readdirSync(blobs()).filter((name) => !name.endsWith('.lock'));
  return names.reduce((sum, name) => sum + (statSync(join(blobs(), name), { throwIfNoEntry: false })?.size ?? 0), 0);
}

/** Resolves when so many bytes are in the cache, as the network still holds some of what was sent. */
async function untilHere(bytes: number): Promise<void> {
  const watcher = watch(blobs());
  try {
    while (bytesHere() < bytes) await once(watcher, 'change');
  } finally {
    watcher.close();
  }
}

describe('a repository of the hub', () => {
  test('is fetched, imported, and used by the name it has there; stdout stays empty', async () => {
    const { stdout, stderr, code } = await run('pull', 'org/tiny');
    expect([stdout, code]).toEqual(['', 0]);
    expect(stderr).toMatch(/^minigpt: org\/tiny at main is c0ffee000000$/m);
    expect(stderr).toMatch(/^minigpt: the checkpoint of org\/tiny has 11 files, 1\.9 MB in total$/m);
    expect(stderr).toMatch(
      /^minigpt: downloaded model-00003-of-00004\.safetensors \(604\.8 kB, sha256 as published\)$/m,
    );
    expect(stderr).toMatch(/^minigpt: the downloaded files stay in .*models--org--tiny; /m);
    expect(lastLine(stderr)).toMatch(/^minigpt: imported as tiny in /);
    const verified = await run('verify', 'tiny');
    expect(verified.code).toBe(0);
  });

  test('that is here already is said, and is no error', async () => {
    await run('pull', 'org/tiny', '--as', 'mine');
    const { length } = server.requests;
    const { stderr, code } = await run('pull', 'org/tiny', '--as', 'mine');
    expect([stderr, code]).toEqual([`minigpt: mine is already here, stored as fp32: ${packFolder('mine')}\n`, 0]);
    const other = await run('pull', 'org/tiny', '--as', 'mine', '--precision', 'fp16');
    expect([lastLine(other.stderr), other.code]).toEqual([
      expect.stringMatching(/give the new pack another id with --as/),
      2,
    ]);
    expect(server.requests).toHaveLength(length);
  });

  test('is imported again from the cache, offline and in another precision', async () => {
    await run('pull', 'org/tiny');
    const { length } = server.requests;
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    const { stderr, code } = await run('pull', 'org/tiny', '--as', 'half', '--precision', 'fp16');
    expect([lastLine(stderr), code]).toEqual([expect.stringMatching(/^minigpt: imported as half in /), 0]);
    expect(stderr).toMatch(/^minigpt: org\/tiny at main is c0ffee000000 in the cache$/m);
    expect(server.requests).toHaveLength(length);
  });

  test.each([
    ['org/llama', /config\.json describes llama, but this version only imports blip-2 \(with opt or t5\)/],
    ['org/bloom', /config\.json describes blip-2 with bloom, but this version only imports/],
  ])('%s, of another architecture, is refused before its weights are fetched', async (name, message) => {
    const { length } = server.downloads;
    const { stderr, code } = await run('pull', name);
    expect([lastLine(stderr), code]).toEqual([expect.stringMatching(message), 2]);
    expect(server.downloads).toHaveLength(length);
  });
});

test('an id of ours is fetched from the repository that it stands for, with its licence told first', async () => {
  const { stderr, code } = await run('pull', 'blip2-opt-2.7b', '--revision', 'v1.0');
  expect(code).toBe(0);
  expect(stderr).toMatch(/^minigpt: blip2-opt-2\.7b: BLIP-2 with OPT 2\.7B.*\nminigpt: licence: MIT/);
  expect(stderr).toMatch(/^minigpt: Salesforce\/blip2-opt-2\.7b at v1\.0 is /m);
  const available = await run('list', '--available');
  expect(available.stdout).toMatch(/^id +family +download +here +licence\n/);
  expect(available.stdout).toMatch(/^blip2-opt-2\.7b +blip2-opt +15\.0 GB +yes +MIT/m);
  expect(available.stdout).toMatch(/^tinygpt-v +tinygpt-v +8\.5 GB +no +/m);
});

test('a model of the program needs no fetching', async () => {
  const { stderr, code } = await run('pull', 'nano');
  expect([stderr, code]).toEqual(['minigpt: nano is part of minigpt, so there is nothing to download\n', 0]);
});

test('another model may take the id of one of the program', async () => {
  const { stderr, code } = await run('pull', 'org/tiny', '--as', 'nano');
  expect([lastLine(stderr), code]).toEqual([expect.stringMatching(/^minigpt: imported as nano in /), 0]);
  expect(existsSync(packFolder('nano'))).toBe(true);
});

test('a model that is known but not here is named with the way to get it', async () => {
  const { stderr, code } = await run('show', 'blip2-opt-2.7b');
  expect([stderr, code]).toEqual([
    'minigpt: the model blip2-opt-2.7b is not on this computer yet. Download it with: minigpt models pull blip2-opt-2.7b\n',
    2,
  ]);
});

test('a pack of the id that is damaged is named with the way to be rid of it', async () => {
  mkdirSync(packFolder('tiny'), { recursive: true });
  writeFileSync(join(packFolder('tiny'), 'model.json'), '{');
  const { stderr, code } = await run('pull', 'org/tiny');
  expect(code).toBe(2);
  expect(stderr).toMatch(/model\.json: the file is not valid JSON .* Remove it with: minigpt models rm tiny\n$/);
});

test('a cache that cannot be written is named, and it is no bug', async () => {
  writeFileSync(join(folder, 'file'), '');
  vi.stubEnv('HF_HOME', join(folder, 'file'));
  const { stderr, code } = await run('pull', 'org/tiny');
  expect(code).toBe(2);
  expect(lastLine(stderr)).toMatch(
    /^minigpt: org\/tiny: it cannot be stored in .*file.hub.models--org--tiny \(E.* choose another with HF_HOME/,
  );
});

test.each([
  [['nothing'], /no published model with the id "nothing"/],
  [['nano', '--as', 'other'], /no published model with the id "nano"/],
  [['org/unknown'], /org\/unknown: 127\.0\.0\.1:\d+ refuses access \(401\)\. It does not exist, or it is not public/],
  [['org/tiny', '--revision', 'v9'], /It has no revision "v9"/],
  [['org/tiny', '--revision', '../x'], /is not a revision/],
  [['org/tiny', '--as', '../x'], /cannot be the id of a model/],
  [['tinygpt-v', '--revision', 'v1'], /comes from several/],
  [['org/tiny', '--precision', 'int3'], /fp32, fp16/],
])('pull %j is refused with exit code 2, and leaves no pack', async (args, message) => {
  const { stdout, stderr, code } = await run('pull', ...args);
  expect([stdout, code]).toEqual(['', 2]);
  expect(lastLine(stderr)).toMatch(message);
  expect(existsSync(packFolder('tiny'))).toBe(false);
});

test('Ctrl-C keeps what was fetched, says so, and ends with 130; the same command goes on', async () => {
  const sent = server.allow(700_000);
  const child = start(folder, ['models', 'pull', 'org/tiny']);
  const told = text(child.stderr);
  await sent;
  await untilHere(700_000);
  child.kill('SIGINT');
  const [code] = (await once(child, 'close')) as [number];
  server.allowEverything();
  expect([lastLine(await told), code]).toEqual([
    'minigpt: interrupted; downloaded data is kept, and the same command continues from there',
    130,
  ]);
  expect(existsSync(packFolder('tiny'))).toBe(false);
  const before = server.sent;
  const { stderr, code: secondCode } = await run('pull', 'org/tiny');
  expect([stderr, secondCode]).toEqual([expect.stringMatching(/: continuing at \d+\.\d kB of /), 0]);
  expect(server.sent - before).toBe(DOWNLOAD_BYTES - 700_000);
});

test('killed at a random byte ten times, it ends with the same pack as an undisturbed one', async () => {
  const undisturbed = temporaryFolder();
  useCache(undisturbed);
  expect((await minigpt(undisturbed, ['models', 'pull', 'org/tiny'])).code).toBe(0);
  useCache(folder);
  // Ten times this is less than the whole download, so that every process is killed before its end.
  const kill = fc.record({ bytes: fc.integer({ min: 1, max: 180_000 }), whileBytesArrive: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(kill, { minLength: 10, maxLength: 10 }), async (kills) => {
      for (const { bytes, whileBytesArrive } of kills) {
        const expected = bytesHere() + bytes;
        const sent = server.allow(bytes);
        const child = start(folder, ['models', 'pull', 'org/tiny']);
        const closed = once(child, 'close');
        await Promise.race([sent, closed]);
        if (!whileBytesArrive) await untilHere(expected);
        child.kill('SIGKILL');
        expect(await closed).toEqual([null, 'SIGKILL']);
        expect(existsSync(packFolder('tiny'))).toBe(false);
      }
      const [here, before] = [bytesHere(), server.sent];
      server.allowEverything();
      const { stderr, code } = await run('pull', 'org/tiny');
      expect([lastLine(stderr), code]).toEqual([expect.stringMatching(/^minigpt: imported as tiny in /), 0]);
      expect(server.sent - before).toBe(DOWNLOAD_BYTES - here);
    }),
    { numRuns: 1, endOnFailure: true },
  );
  expect(await filesOf(packFolder('tiny'))).toEqual(await filesOf(packFolder('tiny', undisturbed)));
  expect(await readdir(join(folder, '.minigpt/models'))).toEqual(['tiny']);
}, 240_000);
