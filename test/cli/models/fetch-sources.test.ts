import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { fetchSources } from '../../../src/cli/models/fetch-sources.ts';
import type { ModelSource } from '../../../src/store/known-models.ts';
import { makeMeans } from '../../store/download-means.ts';
import { HubServer } from '../../store/hub-server.ts';

const TINY = { 'config.json': Buffer.from('{"model_type":"phi"}'), 'model.safetensors': Buffer.from('phi') };

let home: string;
let server: HubServer;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'minigpt-sources-'));
  vi.stubEnv('MINIGPT_HOME', home);
  server = await HubServer.start({
    'plain/files': { 'eva.pth': Buffer.from('eva') },
    'org/phi': TINY,
    'org/stages': { 'stage3.pth': Buffer.from('three'), 'stage4.pth': Buffer.from('four') },
  });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await server.close();
  await rm(home, { recursive: true });
});

const sources = (): ModelSource[] => [
  { kind: 'address', url: server.plain('eva.pth'), name: 'eva.pth', bytes: 2000 },
  { kind: 'checkpoint', repository: 'org/phi', revision: 'main', format: undefined, bytes: 5000 },
  { kind: 'files', repository: 'org/stages', revision: 'main', files: ['stage3.pth'], bytes: 500 },
];

async function fetchAll(of: readonly ModelSource[], isKnown = true): Promise<{ paths: string[]; lines: string[] }> {
  const lines: string[] = [];
  const settings = { endpoint: server.endpoint, cacheFolder: join(home, 'hub'), token: undefined, offline: false };
  const say = (text: string): void => void lines.push(text);
  return { paths: await fetchSources(of, { isKnown, settings, say, means: makeMeans() }), lines };
}

test('the parts of a model are given in the order of their overlay, and fetched from the smallest on', async () => {
  const { paths, lines } = await fetchAll(sources());
  expect(paths).toHaveLength(3);
  const [eva = '', phi = '', stage = ''] = paths;
  expect(await readFile(eva, 'utf8')).toBe('eva');
  expect(await readFile(join(phi, 'model.safetensors'), 'utf8')).toBe('phi');
  expect(await readFile(stage, 'utf8')).toBe('three');
  expect(server.downloads).toEqual([
    'stage3.pth from the start',
    'eva.pth from bytes=0-0',
    'eva.pth from the start',
    'model.safetensors from the start',
  ]);
  expect(lines.filter((line) => line.startsWith('the downloaded files stay in'))).toEqual([
    expect.stringContaining('models--org--phi'),
    expect.stringContaining('models--org--stages'),
  ]);
});

test('terms that were not accepted are told before anything large is fetched', async () => {
  server.gated.add('org/phi');
  await expect(fetchAll(sources())).rejects.toMatchObject({ fault: 'access-refused' });
  expect(server.downloads).toEqual([]);
});

test('a part that does not exist is told before anything large is fetched', async () => {
  const [eva, phi] = sources();
  const missing: ModelSource = {
    kind: 'files',
    repository: 'org/nowhere',
    revision: 'main',
    files: ['a.pth'],
    bytes: 9000,
  };
  await expect(fetchAll([...(eva && phi ? [eva, phi] : []), missing])).rejects.toMatchObject({
    fault: 'access-refused',
  });
  expect(server.downloads).toEqual([]);
});

test('only the parts of a known model may be of any architecture', async () => {
  const phi = sources().filter(({ kind }) => kind === 'checkpoint');
  await expect(fetchAll(phi, false)).rejects.toThrow(/config\.json describes phi, but this version only imports/);
  expect((await fetchAll(phi, true)).paths).toHaveLength(1);
});
