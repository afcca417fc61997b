/** What the importer accepts and refuses; that its numbers are right is shown in test/golden. */
import { execFileSync } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CheckpointError, ShapeError } from '../../src/errors.ts';
import { importCheckpoint, type ImportPlan } from '../../src/importer/import-checkpoint.ts';
import { SafetensorsFile } from '../../src/importer/read/safetensors.ts';
import { readPack } from '../../src/pack/model-declaration.ts';
import { toFloat32 } from '../../src/tensor/dtype.ts';
import { writeSafetensors, type TestTensor } from './write-safetensors.ts';

const fixture = join(import.meta.dirname, '../fixtures/hf-blip2-opt/model');
let folder: string;
let source: string;
let target: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-import-'));
  source = join(folder, 'checkpoint');
  await cp(fixture, source, { recursive: true });
  target = await mkdtemp(join(folder, 'pack-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

const importSource = async (onPlan?: (plan: ImportPlan) => void) =>
  importCheckpoint(target, {
    sources: [source],
    id: 'tiny',
    precision: 'fp32',
    ...(onPlan === undefined ? {} : { onPlan }),
  });

/** Rewrites the last shard with its tensors changed. */
async function changeLastShard(change: (tensors: Record<string, TestTensor>) => void): Promise<void> {
  const path = join(source, 'model-00004-of-00004.safetensors');
  const file = await SafetensorsFile.open(path);
  const tensors: Record<string, TestTensor> = {};
  for (const tensor of file.tensors.values()) {
    tensors[tensor.name] = { shape: [...tensor.shape], values: toFloat32(await file.read(tensor), tensor.dtype) };
  }
  await file.close();
  change(tensors);
  await writeSafetensors(path, tensors);
}

async function changeJson(
  name: string,
  change: (json: Record<string, Record<string, unknown>>) => void,
): Promise<void> {
  const json = JSON.parse(await readFile(join(source, name), 'utf8')) as Record<string, Record<string, unknown>>;
  change(json);
  await writeFile(join(source, name), JSON.stringify(json));
}

test('a pack declares every file it has, and each with its size', async () => {
  await importSource();
  const { declaration } = await readPack(target);
  const names = (await readdir(target)).filter((name) => name !== 'model.json');
  expect(declaration.files.map((file) => file.path).toSorted()).toEqual(names.toSorted());
  for (const file of declaration.files) expect((await stat(join(target, file.path))).size, file.path).toBe(file.bytes);
  expect(declaration.source.files.map((file) => file.path)).toContain('model-00001-of-00004.safetensors');
});

test('the plan is told before anything is written: family, tensors, size', async () => {
  let plan: ImportPlan | undefined;
  let filesThen: string[] | undefined;
  await importSource((announced) => {
    plan = announced;
    filesThen = [];
    void readdir(target).then((names) => (filesThen = names));
  });
  expect(plan).toMatchObject({ family: 'blip2-opt', precision: 'fp32', tensorsUsed: 183, leftOver: [] });
  expect(filesThen).toBeDefined();
});

test('the same checkpoint gives the same bytes twice', async () => {
  const first = await importSource();
  const again = await mkdtemp(join(folder, 'again-'));
  const second = await importCheckpoint(again, { sources: [source], id: 'tiny', precision: 'fp32' });
  expect(second).toEqual(first);
});

test('token embeddings and the tied output head are stored once', async () => {
  await importSource();
  const embeddings = 512 * 64 * 4;
  expect((await stat(join(target, 'embed_tokens.onnx.data'))).size).toBe(embeddings);
  const decoder = await readFile(join(target, 'decoder.onnx'));
  expect(decoder.includes('embed_tokens.onnx.data')).toBe(true);
});

describe('refuses', () => {
  test('a shard that is missing, naming it', async () => {
    await unlink(join(source, 'model-00002-of-00004.safetensors'));
    await expect(importSource()).rejects.toThrow(/model-00002-of-00004\.safetensors: this shard is missing/);
  });

  test('a tensor that the index promises and no shard has', async () => {
    await changeLastShard((tensors) => delete tensors['query_tokens']);
    await changeLastShard((tensors) => {
      const [name] = Object.keys(tensors);
      if (name !== undefined) delete tensors[name];
    });
    await expect(importSource()).rejects.toThrow(
      /according to the index, tensor .* is here, but the file does not contain it/,
    );
  });

  test('a tensor of another shape, naming tensor, expected and found shape and file', async () => {
    await changeLastShard((tensors) => {
      const entry = Object.entries(tensors).find(([, tensor]) => tensor.shape.length === 1);
      if (entry !== undefined) tensors[entry[0]] = { shape: [3], values: new Float32Array(3) };
    });
    const error = await importSource().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ShapeError);
    expect(error).toMatchObject({ received: [3] });
    expect((error as ShapeError).message).toContain('model-00004-of-00004.safetensors');
  });

  test('a tensor that nobody knows, instead of ignoring it', async () => {
    await changeLastShard((tensors) => {
      tensors['vision_model.encoder.layers.0.layer_scale'] = { shape: [2], values: new Float32Array(2) };
    });
    await expect(importSource()).rejects.toThrow(
      /tensor vision_model\.encoder\.layers\.0\.layer_scale \[2\] is not known/,
    );
  });

  test('another language model than it can build', async () => {
    await changeJson('config.json', (config) => (config['text_config'] = { model_type: 'bloom' }));
    await expect(importSource()).rejects.toThrow(/describes blip-2 with bloom; known are blip-2 \(with opt or t5\)/);
  });

  test.each([
    ['activation_function', 'gelu', /activation_function should be one of relu but is "gelu"/],
    ['do_layer_norm_before', false, /do_layer_norm_before should be true but is false/],
    ['word_embed_proj_dim', 32, /word_embed_proj_dim should be equal to hidden_size \(64\) but is 32/],
    ['tie_word_embeddings', false, /tie_word_embeddings should be true but is false/],
    ['num_attention_heads', 5, /num_attention_heads should be a divisor of hidden_size \(64\) but is 5/],
  ])('a language model whose %s is %s', async (key, value, message) => {
    await changeJson('config.json', (config) => {
      const text = config['text_config'];
      if (text !== undefined) text[key] = value;
    });
    await expect(importSource()).rejects.toThrow(message);
  });

  test.each([0, 4097, 1e9])('%d image tokens', async (count) => {
    await changeJson('config.json', (config) => Object.assign(config, { num_query_tokens: count }));
    await expect(importSource()).rejects.toThrow(/num_query_tokens should be a whole number from 1 to 4096/);
  });

  test('an image of a million pixels a side', async () => {
    await changeJson('config.json', (config) => Object.assign(config['vision_config'] ?? {}, { image_size: 1e6 }));
    await expect(importSource()).rejects.toThrow(/vision_config\.image_size should be a whole number from 1 to 2048/);
  });

  test('a config that is a named pipe, instead of waiting for it', async () => {
    await unlink(join(source, 'config.json'));
    execFileSync('mkfifo', [join(source, 'config.json')]);
    await expect(importSource()).rejects.toThrow(/config\.json: this is not a file/);
  });

  test('a tokenizer that was not fetched from Git LFS', async () => {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 21510\n`;
    await writeFile(join(source, 'tokenizer.json'), pointer);
    await expect(importSource()).rejects.toThrow(/tokenizer\.json: this is a Git LFS pointer.* "git lfs pull"/);
  });

  test('images that are cropped instead of resized', async () => {
    await changeJson('preprocessor_config.json', (config) => Object.assign(config, { do_center_crop: true }));
    await expect(importSource()).rejects.toThrow(/do_center_crop should be false/);
  });

  test('a folder without weights, saying what it looked for', async () => {
    for (const name of await readdir(source)) if (name.includes('safetensors')) await unlink(join(source, name));
    await expect(importSource()).rejects.toThrow(/expected weights \(model\.safetensors, pytorch_model\.bin/);
  });

  test('a checkpoint without tokenizer', async () => {
    await unlink(join(source, 'tokenizer.json'));
    await expect(importSource()).rejects.toBeInstanceOf(CheckpointError);
  });

  test('a shard that ends early', async () => {
    const path = join(source, 'model-00001-of-00004.safetensors');
    const bytes = await readFile(path);
    await writeFile(path, bytes.subarray(0, bytes.length - 1000));
    await expect(importSource()).rejects.toThrow(/data_offsets/);
  });
});

test('the output head beside the embeddings it is tied to is left over, and said so', async () => {
  await changeLastShard((tensors) => {
    tensors['language_model.lm_head.weight'] = { shape: [512, 64], values: new Float32Array(512 * 64) };
  });
  let plan: ImportPlan | undefined;
  await importSource((announced) => (plan = announced));
  expect(plan?.leftOver).toEqual([
    {
      name: 'language_model.lm_head.weight',
      file: join(source, 'model-00004-of-00004.safetensors'),
      shape: [512, 64],
      reason: 'the output head, tied to the token embeddings',
    },
  ]);
});

test('an abort ends the import', async () => {
  await expect(
    importCheckpoint(target, { sources: [source], id: 'tiny', precision: 'fp32', signal: AbortSignal.abort() }),
  ).rejects.toThrow(/abort/i);
});
