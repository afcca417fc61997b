/** Adapters over their bases through the importer: forms of files, what is told, and what is refused. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { importCheckpoint, type ImportPlan } from '../../../src/importer/import-checkpoint.ts';
import { SafetensorsFile } from '../../../src/importer/read/safetensors.ts';
import type { FileDigest } from '../../../src/pack/model-declaration.ts';
import { toFloat32 } from '../../../src/tensor/dtype.ts';
import { writeSafetensors, type TestTensor } from '../write-safetensors.ts';

const FIXTURES = join(import.meta.dirname, '../../fixtures');
const BASE = join(FIXTURES, 'hf-blip2-opt/model');
const ADAPTER = join(FIXTURES, 'lora-adapters/opt-default');
const Q_PROJ = 'language_model.model.decoder.layers.0.self_attn.q_proj';

let folder: string;
let adapter: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-adapter-'));
  adapter = join(folder, 'adapter');
  for (const name of ['adapter_config.json', 'adapter_model.safetensors']) {
    await cp(join(ADAPTER, name), join(adapter, name));
  }
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function importAll(
  ...sources: string[]
): Promise<{ plan: ImportPlan | undefined; decoder: FileDigest | undefined; made: string[] }> {
  const directory = await mkdtemp(join(folder, 'pack-'));
  let plan: ImportPlan | undefined;
  const { files, source } = await importCheckpoint(directory, {
    sources,
    id: 'tiny',
    precision: 'fp32',
    onPlan: (announced) => {
      plan = announced;
    },
  });
  const decoder = files.find(({ path }) => path === 'decoder.onnx.data');
  return { plan, decoder, made: source.files.map(({ path }) => path) };
}

async function changeTensors(
  change: (tensors: Record<string, TestTensor>) => Record<string, TestTensor>,
): Promise<void> {
  const path = join(adapter, 'adapter_model.safetensors');
  const file = await SafetensorsFile.open(path);
  const tensors: Record<string, TestTensor> = {};
  for (const tensor of file.tensors.values()) {
    tensors[tensor.name] = { shape: [...tensor.shape], values: toFloat32(await file.read(tensor), tensor.dtype) };
  }
  await file.close();
  await writeSafetensors(path, change(tensors));
}

async function changeConfig(change: object): Promise<void> {
  const path = join(adapter, 'adapter_config.json');
  const config = JSON.parse(await readFile(path, 'utf8')) as object;
  await writeFile(path, JSON.stringify({ ...config, ...change }));
}

const add = (name: string, shape: number[]) => async () =>
  changeTensors((tensors) => ({
    ...tensors,
    [name]: { shape, values: new Float32Array(shape.reduce((product, size) => product * size, 1)) },
  }));

test('an adapter changes the layers that it names, and the pack says what it was made of', async () => {
  const plain = await importAll(BASE);
  const adapted = await importAll(BASE, adapter);
  expect(adapted.plan).toMatchObject({ adapted: 6, leftOver: [], replaced: [] });
  expect(adapted.decoder?.sha256).not.toBe(plain.decoder?.sha256);
  expect(adapted.made).toContain('adapter/adapter_config.json');
  expect(adapted.made).toContain('adapter/adapter_model.safetensors');
});

test('the file of an adapter stands for its folder', async () => {
  const byFolder = await importAll(BASE, adapter);
  expect((await importAll(BASE, join(adapter, 'adapter_model.safetensors'))).decoder).toEqual(byFolder.decoder);
});

test('names with the name of the adapter in them, as a model keeps them, are the same', async () => {
  const plain = await importAll(BASE, adapter);
  await changeTensors((tensors) =>
    Object.fromEntries(
      Object.entries(tensors).map(([name, tensor]) => [name.replace(/\.(lora_[AB])\./, '.$1.default.'), tensor]),
    ),
  );
  expect((await importAll(BASE, adapter)).decoder).toEqual(plain.decoder);
});

test('two adapters are both merged, into a layer of both too', async () => {
  const other = join(FIXTURES, 'lora-adapters/opt-layers');
  const both = await importAll(BASE, adapter, other);
  expect(both.plan?.adapted).toBe(8);
  expect(both.decoder).not.toEqual((await importAll(BASE, adapter)).decoder);
});

test('a layer that target_modules does not name is left as it is, as PEFT leaves it, and that is told', async () => {
  await changeConfig({ target_modules: ['v_proj'] });
  const { plan } = await importAll(BASE, adapter);
  expect(plan?.adapted).toBe(3);
  expect(plan?.leftOver).toHaveLength(6);
  expect(plan?.leftOver[0]?.reason).toMatch(/adapter_config\.json does not name this layer/);
});

test('whole weights behind an adapter take the place of what it changed', async () => {
  const later = join(folder, 'later.safetensors');
  await writeSafetensors(later, { [`${Q_PROJ}.weight`]: { shape: [64, 64], values: new Float32Array(64 * 64) } });
  const { plan } = await importAll(BASE, adapter, later);
  expect(plan?.adapted).toBe(5);
  expect(plan?.replaced.map(({ name, by }) => [name, by])).toEqual([
    [`${Q_PROJ}.weight`, later],
    [`base_model.model.${Q_PROJ}.lora_A.weight`, later],
    [`base_model.model.${Q_PROJ}.lora_B.weight`, later],
  ]);
});

describe('refused is', () => {
  test('an adapter alone, with the name of its base', async () => {
    await expect(importAll(adapter)).rejects.toThrow(
      `${adapter}: this is a LoRA adapter for example/hf-blip2-opt; give the folder of its base before it.`,
    );
  });

  test('an adapter before its base', async () => {
    await expect(importAll(adapter, BASE)).rejects.toThrow(
      /this is a LoRA adapter for .* give the folder of its base before it/,
    );
  });

  test('an adapter over another model', async () => {
    await expect(importAll(join(FIXTURES, 'hf-blip2-t5/model'), adapter)).rejects.toThrow(
      /adapter for example\/hf-blip2-opt changes language_model\.model\.decoder\.layers\.0\..*which no source before it has/,
    );
  });

  test('an adapter without its weights', async () => {
    await rm(join(adapter, 'adapter_model.safetensors'));
    await expect(importAll(BASE, adapter)).rejects.toThrow(/this is an adapter, but its weights .* are missing/);
  });

  test.each<[string, () => Promise<void>, RegExp]>([
    [
      'another rank than the config says',
      async () => changeConfig({ r: 5 }),
      /should have shape \[5, 64\] but has \[4, 64\]/,
    ],
    [
      'another rank for one layer',
      async () => changeConfig({ rank_pattern: { '1.self_attn.v_proj': 2 } }),
      /should have shape \[2, 64\]/,
    ],
    [
      'DoRA by its tensors',
      add(`base_model.model.${Q_PROJ}.lora_magnitude_vector`, [64]),
      /is of DoRA, which cannot be merged/,
    ],
    ['AdaLoRA by its tensors', add(`base_model.model.${Q_PROJ}.lora_E`, [4, 1]), /is of AdaLoRA/],
    [
      'half of a factor pair',
      add('base_model.model.language_model.model.decoder.layers.0.fc1.lora_A.weight', [4, 64]),
      /fc1 has no lora_B\. The adapter is incomplete/,
    ],
    [
      'a tensor that nobody knows',
      add('base_model.model.unheard_of.weight', [2]),
      /tensor base_model\.model\.unheard_of\.weight \[2\] is not known/,
    ],
    [
      'a change of the one table of embeddings and head',
      add('base_model.model.language_model.lm_head.weight', [512, 64]),
      /changes language_model\.lm_head\.weight, but this model uses one table/,
    ],
  ])('%s', async (_, change, message) => {
    await change();
    if (message.source.includes('fc1')) await changeConfig({ target_modules: ['q_proj', 'v_proj', 'fc1'] });
    await expect(importAll(BASE, adapter)).rejects.toThrow(message);
  });

  test('an adapter that changes nothing', async () => {
    await changeConfig({ target_modules: ['k_proj'] });
    await expect(importAll(BASE, adapter)).rejects.toThrow(/the adapter changes no layer: none of its tensors/);
  });

  test('factors without the config that says how to merge them', async () => {
    await rm(join(adapter, 'adapter_config.json'));
    await expect(importAll(BASE, join(adapter, 'adapter_model.safetensors'))).rejects.toThrow(
      /It belongs to a model with a LoRA adapter, but there is no adapter_config\.json/,
    );
  });
});

test('a larger table that the adapter brings under both its names is taken', async () => {
  const table = { shape: [520, 64], values: Float32Array.from({ length: 520 * 64 }, (_, index) => index % 7) };
  await changeTensors((tensors) => ({
    ...tensors,
    'base_model.model.language_model.model.decoder.embed_tokens.weight': table,
    'base_model.model.language_model.lm_head.weight': table,
  }));
  const { plan } = await importAll(BASE, adapter);
  expect(plan?.replaced.map(({ name }) => name)).toEqual(['language_model.model.decoder.embed_tokens.weight']);
});

test('a table that the adapter brings and changes is both, as PEFT saves the embeddings that it adapts', async () => {
  const name = 'base_model.model.language_model.model.decoder.layers.0.self_attn.q_proj.base_layer.weight';
  await changeTensors((tensors) => ({ ...tensors, [name]: { shape: [64, 64], values: new Float32Array(64 * 64) } }));
  const { plan } = await importAll(BASE, adapter);
  expect(plan).toMatchObject({ adapted: 6, replaced: [{ name: `${Q_PROJ}.weight` }] });
});
