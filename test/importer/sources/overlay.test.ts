/** How several sources become one model: what wins, what is refused, and what is recognised. */
import { cp, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { importCheckpoint, type ImportPlan } from '../../../src/importer/import-checkpoint.ts';
import { SafetensorsFile } from '../../../src/importer/read/safetensors.ts';
import { toFloat32 } from '../../../src/tensor/dtype.ts';
import { writeSafetensors, type TestTensor } from '../write-safetensors.ts';

const fixture = (name: string): string => join(import.meta.dirname, '../../fixtures', name);
const LLAMA2 = fixture('minigpt4-llama2');
const PARTS = {
  eva: join(LLAMA2, 'eva_vit_g.pth'),
  language: join(LLAMA2, 'llama-2-chat'),
  project: join(LLAMA2, 'pretrained_minigpt4_llama2_7b.pth'),
  config: join(LLAMA2, 'architecture.json'),
};

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-overlay-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function importParts(sources: string[], options: { config?: string; allowUnused?: boolean } = {}) {
  const directory = await mkdtemp(join(folder, 'pack-'));
  let plan: ImportPlan | undefined;
  const declaration = await importCheckpoint(directory, {
    sources,
    id: 'tiny',
    precision: 'fp32',
    config: options.config ?? PARTS.config,
    allowUnused: options.allowUnused,
    onPlan: (announced) => {
      plan = announced;
    },
  });
  const digest = (name: string) => declaration.files.find(({ path }) => path === name)?.sha256;
  return { declaration, plan, digest };
}

async function readTensors(path: string): Promise<Record<string, TestTensor>> {
  const file = await SafetensorsFile.open(path);
  try {
    const tensors: Record<string, TestTensor> = {};
    for (const tensor of file.tensors.values())
      tensors[tensor.name] = { shape: [...tensor.shape], values: toFloat32(await file.read(tensor), tensor.dtype) };
    return tensors;
  } finally {
    await file.close();
  }
}

test('the order of independent parts makes no difference', async () => {
  const first = await importParts([PARTS.eva, PARTS.language, PARTS.project]);
  const other = await importParts([PARTS.project, PARTS.eva, PARTS.language]);
  expect(first.declaration.files).toEqual(other.declaration.files);
});

test('a later source replaces what an earlier one has, and that is told', async () => {
  const path = join(folder, 'projection.safetensors');
  const { shape, values } = { shape: [64, 256], values: new Float32Array(64 * 256).fill(0.5) };
  await writeSafetensors(path, { 'llama_proj.weight': { shape, values } });
  const before = await importParts([PARTS.eva, PARTS.language, PARTS.project]);
  const after = await importParts([PARTS.eva, PARTS.language, PARTS.project, path]);
  expect(after.digest('qformer.onnx.data')).not.toBe(before.digest('qformer.onnx.data'));
  expect(after.digest('decoder.onnx.data')).toBe(before.digest('decoder.onnx.data'));
  expect(after.plan?.replaced).toEqual([{ name: 'llama_proj.weight', file: PARTS.project, by: path }]);
});

test('a norm that a later file brings is preferred to the untrained one', async () => {
  const path = join(folder, 'norm.safetensors');
  await writeSafetensors(path, {
    'ln_vision.weight': { shape: [64], values: new Float32Array(64).fill(2) },
    'ln_vision.bias': { shape: [64], values: new Float32Array(64) },
  });
  const without = await importParts([PARTS.eva, PARTS.language, PARTS.project]);
  const having = await importParts([PARTS.eva, PARTS.language, PARTS.project, path]);
  expect(having.digest('vision_encoder.onnx.data')).not.toBe(without.digest('vision_encoder.onnx.data'));
});

test('a language model published as a difference is added to its base', async () => {
  const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  const base = join(folder, 'llama');
  const delta = join(folder, 'vicuna-delta-v0');
  await cp(PARTS.language, base, { recursive: true });
  await cp(PARTS.language, delta, { recursive: true });
  for (const shard of shards) {
    const tensors = await readTensors(join(PARTS.language, shard));
    const split = (part: number) =>
      Object.fromEntries(
        Object.entries(tensors).map(([name, { shape, values }]) => [
          name,
          // Halves of powers of two: the parts and their sum are exact.
          { shape, values: values.map((value) => (part === 0 ? value / 2 : value - value / 2)) },
        ]),
      );
    await writeSafetensors(join(base, shard), split(0));
    await writeSafetensors(join(delta, shard), split(1));
  }
  const whole = await importParts([PARTS.eva, PARTS.language, PARTS.project]);
  const summed = await importParts([PARTS.eva, base, delta, PARTS.project]);
  expect(summed.digest('decoder.onnx.data')).toBe(whole.digest('decoder.onnx.data'));
});

describe('refuses', () => {
  test('a missing image encoder, naming where it is published', async () => {
    await expect(importParts([PARTS.language, PARTS.project])).rejects.toThrow(
      /tensor vision_model\..* is missing\. It belongs to the image encoder: eva_vit_g\.pth of LAVIS/,
    );
  });

  test('a missing language model, naming where it is published', async () => {
    await expect(importParts([PARTS.eva, PARTS.project])).rejects.toThrow(
      /the language model is missing.*Llama-2-7b-chat-hf/,
    );
  });

  test('sources that make no family', async () => {
    await expect(importParts([PARTS.eva])).rejects.toThrow(/are not a known model .*--family/);
  });

  test('a Q-Former for a family without one', async () => {
    const sources = [
      PARTS.eva,
      fixture('minigpt4-vicuna/blip2_pretrained_flant5xxl.pth'),
      PARTS.language,
      PARTS.project,
    ];
    const directory = await mkdtemp(join(folder, 'pack-'));
    const options = {
      sources,
      id: 'tiny',
      precision: 'fp32',
      family: 'minigpt4-llama2',
      config: PARTS.config,
    } as const;
    await expect(importCheckpoint(directory, options)).rejects.toThrow(
      /contains a Q-Former, but minigpt4-llama2 has none/,
    );
  });

  test('a language model of another architecture than the family has', async () => {
    const sources = [PARTS.eva, fixture('tinygpt-v/phi-2'), PARTS.project];
    const directory = await mkdtemp(join(folder, 'pack-'));
    const options = {
      sources,
      id: 'tiny',
      precision: 'fp32',
      family: 'minigpt4-llama2',
      config: PARTS.config,
    } as const;
    await expect(importCheckpoint(directory, options)).rejects.toThrow(/is a phi language model, but .* needs llama/);
  });

  test('--config beside a whole model, which says the same itself', async () => {
    await expect(importParts([fixture('hf-blip2-opt/model')])).rejects.toThrow(/--config is not needed/);
  });

  test('a source that does not exist', async () => {
    await expect(importParts([join(folder, 'nowhere.pth')])).rejects.toThrow(/there is no such file or folder/);
  });

  test('a Phi-2 whose config does not say how much of a head positions turn', async () => {
    const phi = join(folder, 'phi');
    await cp(fixture('tinygpt-v/phi-2'), phi, { recursive: true });
    const { default: config } = (await import(join(phi, 'config.json'), { with: { type: 'json' } })) as {
      default: Record<string, unknown>;
    };
    const { partial_rotary_factor: _, ...rest } = config;
    await writeFile(join(phi, 'config.json'), JSON.stringify(rest));
    const sources = [
      fixture('tinygpt-v/eva_vit_g.pth'),
      fixture('tinygpt-v/blip2_pretrained_flant5xxl.pth'),
      phi,
      fixture('tinygpt-v/stage3/TinyGPT-V_for_Stage3.pth'),
    ];
    await expect(importParts(sources, { config: fixture('tinygpt-v/stage3/architecture.json') })).rejects.toThrow(
      /partial_rotary_factor should be a number but is missing/,
    );
  });
});

test('tensors of unknown names are left out only where that is asked for', async () => {
  const path = join(folder, 'more.safetensors');
  await writeSafetensors(path, { 'vision_adapter.weight': { shape: [2], values: new Float32Array(2) } });
  const sources = [PARTS.eva, PARTS.language, PARTS.project, path];
  await expect(importParts(sources)).rejects.toThrow(
    /tensor vision_adapter\.weight \[2\] is not known.*--allow-unused/,
  );
  const { plan } = await importParts(sources, { allowUnused: true });
  expect(plan?.leftOver.map(({ name }) => name)).toContain('vision_adapter.weight');
});

test('a folder may be reached through a link', async () => {
  const link = join(folder, 'linked');
  await symlink(PARTS.language, link, 'dir');
  const { declaration } = await importParts([PARTS.eva, link, PARTS.project]);
  expect(declaration.family).toBe('minigpt4-llama2');
});
