/** Which weight files of a folder are taken, as transformers takes them, and what is said of the others. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CheckpointSource } from '../../../src/importer/read/checkpoint-source.ts';
import { writeSafetensors } from '../write-safetensors.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-weight-files-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** Writes a file with one tensor, whose name is that of the file unless another is given. */
async function file(name: string, tensor = name): Promise<void> {
  await writeSafetensors(join(folder, name), { [tensor]: { shape: [1], values: new Float32Array(1) } });
}

async function index(name: string, weightMap: Record<string, string>): Promise<void> {
  await writeFile(join(folder, name), JSON.stringify({ metadata: {}, weight_map: weightMap }));
}

async function open(): Promise<{ tensors: string[]; choice: CheckpointSource['choice'] }> {
  const source = await CheckpointSource.open(folder);
  await source.close();
  return { tensors: [...source.tensors.keys()].toSorted(), choice: source.choice };
}

const shards = (count: number) =>
  Array.from({ length: count }, (_, n) => `model-0000${n + 1}-of-0000${count}.safetensors`);

describe('taken is', () => {
  test('a single file before an index of another day, and both are told', async () => {
    await file('model.safetensors', 'new');
    for (const name of shards(2)) await file(name);
    await index('model.safetensors.index.json', Object.fromEntries(shards(2).map((name) => [name, name])));
    expect(await open()).toEqual({
      tensors: ['new'],
      choice: { taken: 'model.safetensors', leftOut: ['model.safetensors.index.json (2 shards)'] },
    });
  });

  test('a single file, whatever the index beside it names', async () => {
    await file('model.safetensors', 'new');
    await index('model.safetensors.index.json', { old: 'gone.safetensors' });
    expect((await open()).tensors).toEqual(['new']);
  });

  test('safetensors in shards before a pickle in one file', async () => {
    for (const name of shards(2)) await file(name);
    await index('model.safetensors.index.json', Object.fromEntries(shards(2).map((name) => [name, name])));
    await writeFile(join(folder, 'pytorch_model.bin'), 'never opened');
    expect(await open()).toEqual({
      tensors: shards(2),
      choice: { taken: 'model.safetensors.index.json (2 shards)', leftOut: ['pytorch_model.bin'] },
    });
  });

  test('nothing to choose where there is one layout', async () => {
    await file('model.safetensors');
    expect((await open()).choice).toBeUndefined();
  });

  test('all shards without an index, where none is missing', async () => {
    for (const name of shards(3)) await file(name);
    expect(await open()).toEqual({ tensors: shards(3), choice: undefined });
  });

  test('the complete set where another lacks a file', async () => {
    for (const name of shards(2)) await file(name);
    await file('model-00003-of-00005.safetensors');
    expect(await open()).toEqual({
      tensors: shards(2),
      choice: {
        taken: 'model-*-of-00002.safetensors (2 of 2 shards, no index)',
        leftOut: ['model-*-of-00005.safetensors (1 of 5 shards, no index)'],
      },
    });
  });
});

describe('refused is', () => {
  test('a set of shards without an index that is not complete, and all that are missing are named', async () => {
    for (const name of shards(7)) if (!/-0000[26]-/.test(name)) await file(name);
    await expect(open()).rejects.toThrow(
      /model-00002-of-00007\.safetensors: this shard is missing; .* there are 7\. Missing: model-00002-of-00007\.safetensors, model-00006-of-00007\.safetensors\. Download/,
    );
  });

  test('an index whose shards are missing, with a word about those that it does not list', async () => {
    for (const name of shards(3)) await file(name);
    await index('model.safetensors.index.json', { a: 'model-00001-of-00002.safetensors' });
    await expect(open()).rejects.toThrow(
      /model-00001-of-00002\.safetensors: this shard is missing; .*index\.json lists 1 of them\..* shards that it does not list: model-00001-of-00003.* remove model\.safetensors\.index\.json/,
    );
  });

  test('two complete sets of which nothing says which is the model', async () => {
    for (const name of [...shards(2), ...shards(3)]) await file(name);
    await expect(open()).rejects.toThrow(
      /two complete sets of shards without an index, model-\*-of-00002\.safetensors and model-\*-of-00003/,
    );
  });

  test('a folder with a model and an adapter, of which nobody knows whether they are merged', async () => {
    await file('model.safetensors');
    await file('adapter_model.safetensors');
    await writeFile(join(folder, 'adapter_config.json'), '{}');
    await expect(open()).rejects.toThrow(
      /holds both a model \(model\.safetensors\) and an adapter .* folder of its own/,
    );
  });
});

async function snapshot(commit: string): Promise<void> {
  await mkdir(join(folder, 'snapshots', commit), { recursive: true });
  await file(join('snapshots', commit, 'model.safetensors'), commit);
}

async function branch(name: string, commit: string): Promise<void> {
  await mkdir(join(folder, 'refs'), { recursive: true });
  await writeFile(join(folder, 'refs', name), commit);
}

describe('a folder of the hub cache', () => {
  const COMMIT = 'c0ffee'.padEnd(40, '0');
  const OTHER = 'decade'.padEnd(40, '1');

  test('is the snapshot that its main branch stands for', async () => {
    await snapshot(OTHER);
    await snapshot(COMMIT);
    await branch('main', `${COMMIT}\n`);
    const source = await CheckpointSource.open(folder);
    await source.close();
    expect([source.path, [...source.tensors.keys()]]).toEqual([join(folder, 'snapshots', COMMIT), [COMMIT]]);
  });

  test('is its only snapshot where only another branch was fetched', async () => {
    await snapshot(COMMIT);
    await branch('v1.0', COMMIT);
    expect((await open()).tensors).toEqual([COMMIT]);
  });

  test('is refused where several snapshots are there and none is the main branch', async () => {
    await snapshot(COMMIT);
    await snapshot(OTHER);
    await branch('v1.0', COMMIT);
    await expect(open()).rejects.toThrow(
      /has no refs\/main, and of snapshots there are c0ffee0+, decade1+\..*snapshots\.$/,
    );
  });

  test('is refused where what the main branch stands for was removed', async () => {
    await snapshot(OTHER);
    await branch('main', COMMIT);
    await expect(open()).rejects.toThrow(
      /stands for the snapshot "c0ffee0+", but of snapshots there are decade1+\. Download/,
    );
  });

  test('may not name a folder elsewhere', async () => {
    await snapshot(COMMIT);
    await branch('main', '../../outside');
    await expect(open()).rejects.toThrow(/stands for the snapshot "\.\.\/\.\.\/outside"/);
  });

  test('that holds many models is no source', async () => {
    await mkdir(join(folder, 'models--org--tiny'));
    await expect(open()).rejects.toThrow(/this is a hub cache with 1 models\. .*models--org--tiny/);
  });
});

describe('names of tensors', () => {
  test.each([
    ['module.query_tokens'],
    ['_orig_mod.query_tokens'],
    ['base_model.model.query_tokens'],
    ['module._orig_mod.base_model.model.query_tokens'],
    ['_orig_mod.module.query_tokens'],
    ['_fsdp_wrapped_module.query_tokens'],
  ])('%s is read without the marks of wrappers', async (name) => {
    await file('model.safetensors', name);
    expect((await open()).tensors).toEqual(['query_tokens']);
  });

  test('lose the marks inside of them too', async () => {
    await file('model.safetensors', 'language_model._orig_mod.model.layers.0._checkpoint_wrapped_module.mlp.weight');
    expect((await open()).tensors).toEqual(['language_model.model.layers.0.mlp.weight']);
  });

  test('that only look like it stay as they are', async () => {
    await file('model.safetensors', 'submodule.x_orig_mod.base_model.modelling.module');
    expect((await open()).tensors).toEqual(['submodule.x_orig_mod.base_model.modelling.module']);
  });

  test('that are the same without the marks are refused', async () => {
    const tensor = { shape: [1], values: new Float32Array(1) };
    await writeSafetensors(join(folder, 'model.safetensors'), { query_tokens: tensor, 'module.query_tokens': tensor });
    await expect(open()).rejects.toThrow(
      /holds tensor query_tokens twice, as query_tokens and as module\.query_tokens/,
    );
  });

  test('are compared with the index without the marks', async () => {
    await file('a.safetensors', 'module.query_tokens');
    await index('model.safetensors.index.json', { 'module.query_tokens': 'a.safetensors' });
    expect((await open()).tensors).toEqual(['query_tokens']);
  });
});
