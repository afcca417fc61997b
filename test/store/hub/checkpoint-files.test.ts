import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fetchCheckpoint, type CheckpointRequest } from '../../../src/store/hub/checkpoint-files.ts';
import { HubRepository } from '../../../src/store/hub/hub-repository.ts';
import { makeMeans } from '../download-means.ts';
import { HubServer, type Repository } from '../hub-server.ts';

let cacheFolder: string;
let server: HubServer | undefined;
beforeEach(async () => {
  cacheFolder = await mkdtemp(join(tmpdir(), 'minigpt-checkpoint-'));
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  await rm(cacheFolder, { recursive: true });
});

const text = (value: string): Buffer => Buffer.from(value);
const index = (...shards: string[]): Buffer =>
  text(JSON.stringify({ weight_map: Object.fromEntries(shards.map((shard, at) => [`t${at}`, shard])) }));

const SMALL: Repository = {
  'config.json': text('{"model_type":"blip-2"}'),
  'README.md': text('#'),
  'tokenizer.json': text('{}'),
  'spiece.model': text('s'),
  'qformer_tokenizer/vocab.txt': text('[PAD]'),
  'qformer_tokenizer/more.md': text('#'),
};
const SAFETENSORS: Repository = {
  'model.safetensors.index.json': index('model-2.safetensors', 'model-1.safetensors', 'model-2.safetensors'),
  'model-1.safetensors': text('1'),
  'model-2.safetensors': text('22'),
};
const PYTORCH: Repository = {
  'pytorch_model.bin.index.json': index('pytorch_model-1.bin'),
  'pytorch_model-1.bin': text('333'),
};

/** Fetches from a repository with these files; gives the names of what lies in the cache then. */
async function fetched(files: Repository, request: CheckpointRequest = {}): Promise<string[]> {
  await server?.close();
  server = await HubServer.start({ 'org/model': files });
  const settings = { endpoint: server.endpoint, cacheFolder, token: undefined, offline: false };
  const folder = await fetchCheckpoint(await HubRepository.open('org/model', 'main', settings, makeMeans()), request);
  return (await readdir(folder, { recursive: true })).toSorted();
}

const BESIDE = [
  'config.json',
  'qformer_tokenizer',
  join('qformer_tokenizer', 'vocab.txt'),
  'spiece.model',
  'tokenizer.json',
];

test('configs, tokenizers and the shards of the index are fetched, safetensors before pickles, and nothing else', async () => {
  expect(await fetched({ ...SMALL, ...PYTORCH, ...SAFETENSORS })).toEqual(
    [...BESIDE, 'model.safetensors.index.json', 'model-1.safetensors', 'model-2.safetensors'].toSorted(),
  );
});

test('pickles are fetched where there is nothing else', async () => {
  expect(await fetched({ ...SMALL, ...PYTORCH })).toEqual(
    [...BESIDE, 'pytorch_model.bin.index.json', 'pytorch_model-1.bin'].toSorted(),
  );
});

test('a format can be asked for', async () => {
  const names = await fetched({ ...SMALL, ...PYTORCH, ...SAFETENSORS }, { format: 'pytorch' });
  expect(names).toContain('pytorch_model-1.bin');
  expect(names).not.toContain('model-1.safetensors');
});

test('weights in one file need no index', async () => {
  expect(await fetched({ ...SMALL, 'model.safetensors': text('w') })).toContain('model.safetensors');
});

test('a single file is fetched instead of the shards beside it, as it is what would be read of both', async () => {
  const names = await fetched({ ...SMALL, ...SAFETENSORS, 'model.safetensors': text('w') });
  expect(names).toEqual([...BESIDE, 'model.safetensors'].toSorted());
});

const bare = (count: number, missing = 0): Repository =>
  Object.fromEntries(
    Array.from(
      { length: count },
      (_, n) => [`model-0000${n + 1}-of-0000${count}.safetensors`, text(`${n}`)] as const,
    ).filter((_, n) => n + 1 !== missing),
  );

test('shards without an index are fetched where none is missing, after every layout that has one', async () => {
  expect(await fetched({ ...SMALL, ...bare(3) })).toEqual([...BESIDE, ...Object.keys(bare(3))].toSorted());
  expect(await fetched({ ...SMALL, ...bare(3), ...PYTORCH })).toContain('pytorch_model-1.bin');
});

test.each([
  ['that lack one', bare(3, 2)],
  ['of two lengths', { ...bare(2), ...bare(3) }],
])('shards without an index %s are no checkpoint', async (_, shards) => {
  await expect(fetched({ ...SMALL, ...shards })).rejects.toThrow(
    /has no model\.safetensors or pytorch_model\.bin at main/,
  );
});

test('the plan has every file of the checkpoint, before the weights are fetched', async () => {
  const plans: (readonly string[])[] = [];
  await fetched(
    { ...SMALL, ...SAFETENSORS },
    {
      onPlan: (paths) => {
        plans.push(paths);
        expect(server?.downloads.filter((name) => /safetensors/.test(name))).toEqual([]);
      },
    },
  );
  expect(plans).toEqual([
    [
      'config.json',
      'tokenizer.json',
      'spiece.model',
      'qformer_tokenizer/vocab.txt',
      'model.safetensors.index.json',
      'model-1.safetensors',
      'model-2.safetensors',
    ],
  ]);
});

test.each([
  ['without weights', SMALL, /has no model\.safetensors or pytorch_model\.bin at main/],
  ['without a config', SAFETENSORS, /has no config\.json at main/],
  [
    'whose index names a shard that it lacks',
    { ...SMALL, 'model.safetensors.index.json': index('gone.safetensors') },
    /has no gone\.safetensors at main/,
  ],
  [
    'whose index leads elsewhere',
    { ...SMALL, 'model.safetensors.index.json': index('../../x') },
    /has no \.\.\/\.\.\/x at main/,
  ],
  [
    'whose index is damaged',
    { ...SMALL, 'model.safetensors.index.json': text('{"weight_map":[]}') },
    /model\.safetensors\.index\.json: weight_map should be/,
  ],
])('a repository %s is refused', async (_, files, message) => {
  await expect(fetched(files)).rejects.toThrow(message);
});
