/** `minigpt models import` through the built binary: which files of which source a pack is made of, and what is said of it. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { CheckpointSource } from '../../../src/importer/read/checkpoint-source.ts';
import { toFloat32 } from '../../../src/tensor/dtype.ts';
import { writeSafetensors, type TestTensor } from '../../importer/write-safetensors.ts';
import { lastLine, minigpt, ROOT, temporaryFolder } from '../binary.ts';

const FIXTURE = join(ROOT, 'test/fixtures/hf-blip2-opt');
const ADAPTER = join(ROOT, 'test/fixtures/lora-adapters/opt-default');
const EMBED_TOKENS = 'language_model.model.decoder.embed_tokens.weight';

let folder: string;

beforeEach(() => {
  folder = temporaryFolder();
  cpSync(join(FIXTURE, 'model'), join(folder, 'model'), { recursive: true });
});

const run = async (...args: string[]) => minigpt(folder, ['models', ...args]);

async function readTensors(): Promise<Record<string, TestTensor>> {
  const source = await CheckpointSource.open(join(FIXTURE, 'model'));
  try {
    const tensors: Record<string, TestTensor> = {};
    for (const [name, { tensor, file }] of source.tensors) {
      tensors[name] = { shape: [...tensor.shape], values: toFloat32(await file.read(tensor), tensor.dtype) };
    }
    return tensors;
  } finally {
    await source.close();
  }
}

test('a folder as transformers 5 saves it becomes a pack whose numbers are right in every stage', async () => {
  const settings: unknown = JSON.parse(readFileSync(join(folder, 'model/preprocessor_config.json'), 'utf8'));
  rmSync(join(folder, 'model/preprocessor_config.json'));
  writeFileSync(join(folder, 'model/processor_config.json'), JSON.stringify({ image_processor: settings }));
  expect((await run('import', 'model', '--as', 'tiny')).code).toBe(0);
  const { stdout, code } = await run('verify', 'tiny', '--golden', FIXTURE);
  expect(stdout).not.toMatch(/OUTSIDE|DIFFERENT/);
  expect(code).toBe(0);
});

test('a newer single file is taken instead of the old shards beside it, and that is said with the reason', async () => {
  await writeSafetensors(join(folder, 'model/model.safetensors'), await readTensors());
  writeFileSync(join(folder, 'model/model-00001-of-00004.safetensors'), 'of another day');
  const { stderr, code } = await run('import', 'model', '--as', 'tiny');
  expect(stderr).toContain(
    'minigpt: weights of model: taken from model.safetensors, not from model.safetensors.index.json (4 shards) (as in transformers, a single file comes before shards, and safetensors before pickles)\n',
  );
  expect(code).toBe(0);
});

describe('a LoRA adapter', () => {
  test('alone is named with its base, and leaves no pack behind', async () => {
    const { stderr, code } = await run('import', ADAPTER, '--as', 'tiny');
    expect([lastLine(stderr), code]).toEqual([
      `minigpt: ${ADAPTER}: this is a LoRA adapter for example/hf-blip2-opt; give the folder of its base before it.`,
      2,
    ]);
  });

  test('over its base becomes a pack with the numbers of the merged model', async () => {
    const { stderr, code } = await run('import', 'model', ADAPTER, '--as', 'tiny');
    expect([stderr, code]).toEqual([
      expect.stringContaining('minigpt: 6 tensors are changed by a merged LoRA adapter\n'),
      0,
    ]);
    const verified = await run('verify', 'tiny', '--golden', ADAPTER);
    expect(verified.stdout).toMatch(/^first logits .* ok$/m);
    expect(verified.stdout).not.toMatch(/OUTSIDE|DIFFERENT/);
    expect(verified.code).toBe(0);
  });
});

test('a part that several sources have comes from the last one, and that is said', async () => {
  cpSync(join(folder, 'model/tokenizer.json'), join(folder, 'tuned/tokenizer.json'));
  cpSync(join(folder, 'model/tokenizer_config.json'), join(folder, 'tuned/tokenizer_config.json'));
  const { 'language_projection.bias': bias } = await readTensors();
  if (bias === undefined) throw new Error('the fixture should have a projection');
  await writeSafetensors(join(folder, 'tuned/model.safetensors'), { 'module.language_projection.bias': bias });
  const { stderr, code } = await run('import', 'model', 'tuned', '--as', 'tiny');
  expect(stderr).toContain(
    'minigpt: tokenizer: taken from tuned, not from model (the last source that has it counts)\n',
  );
  expect(stderr).toMatch(
    /^minigpt: 1 tensor is taken from a later source: tuned\/model\.safetensors, not model\/model-0000\d-of-00004\.safetensors$/m,
  );
  expect(code).toBe(0);
});

test('the folder of a repository in the hub cache is imported from its main branch', async () => {
  const commit = 'c0ffee'.padEnd(40, '0');
  mkdirSync(join(folder, 'models--org--tiny/refs'), { recursive: true });
  writeFileSync(join(folder, 'models--org--tiny/refs/main'), commit);
  cpSync(join(folder, 'model'), join(folder, 'models--org--tiny/snapshots', commit), { recursive: true });
  const { stderr, code } = await run('import', 'models--org--tiny', '--as', 'tiny');
  expect([lastLine(stderr), code]).toEqual([expect.stringMatching(/^minigpt: imported as tiny in /), 0]);
});

test('weights that were not fetched from Git LFS are named, with what to do', async () => {
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 15000000000\n`;
  writeFileSync(join(folder, 'model/model-00002-of-00004.safetensors'), pointer);
  const { stderr, code } = await run('import', 'model', '--as', 'tiny');
  expect([lastLine(stderr), code]).toEqual([
    'minigpt: model/model-00002-of-00004.safetensors: this is not a safetensors file: it is a Git LFS pointer, which only names the file. Run "git lfs pull" in the clone, or download the file itself.',
    2,
  ]);
});

describe('verify --golden', () => {
  /** Imports the fixture with more rows in its vocabulary than any token has. */
  async function importPadded(): Promise<void> {
    const tensors = await readTensors();
    const table = tensors[EMBED_TOKENS];
    if (table === undefined) throw new Error('the fixture should have token embeddings');
    const values = new Float32Array(576 * 64);
    values.set(table.values);
    await writeSafetensors(join(folder, 'model/model.safetensors'), {
      ...tensors,
      [EMBED_TOKENS]: { shape: [576, 64], values },
    });
    expect((await run('import', 'model', '--as', 'tiny')).code).toBe(0);
  }

  // It ended in an internal error.
  test('compares a padded vocabulary as far as that of the record goes, and says so', async () => {
    await importPadded();
    const { stdout, code } = await run('verify', 'tiny', '--golden', FIXTURE);
    expect(stdout).toMatch(/^step logits .* ok$/m);
    expect(stdout).toMatch(/^not compared: the logits of 64 rows at the end of the vocabulary/m);
    expect(stdout).not.toMatch(/OUTSIDE|DIFFERENT|beam scores/);
    expect(code).toBe(0);
  });

  test('names a record of another model as such', async () => {
    await run('import', 'model', '--as', 'tiny');
    const { stderr, code } = await run('verify', 'tiny', '--golden', join(ROOT, 'test/fixtures/nano'));
    expect([lastLine(stderr), code]).toEqual([
      expect.stringMatching(/the record has|the images of the record have/),
      2,
    ]);
    expect(stderr).not.toContain('internal');
  });
});
