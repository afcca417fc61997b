/** Fine-tuned models as they are saved, often a part of one, laid over the model that they were made from. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { importCheckpoint, type ImportPlan } from '../../../src/importer/import-checkpoint.ts';
import { CheckpointSource } from '../../../src/importer/read/checkpoint-source.ts';
import type { ModelDeclaration } from '../../../src/pack/model-declaration.ts';
import { toFloat32 } from '../../../src/tensor/dtype.ts';
import { writeSafetensors, type TestTensor } from '../write-safetensors.ts';

const FIXTURES = join(import.meta.dirname, '../../fixtures');
const BASE = join(FIXTURES, 'hf-blip2-opt/model');
const LAVIS = join(FIXTURES, 'lavis-blip2-opt');

let folder: string;
let tuned: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-over-base-'));
  tuned = join(folder, 'tuned');
  await mkdir(tuned);
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

type Imported = {
  plan: ImportPlan;
  declaration: ModelDeclaration;
  digest: (file: string) => string | undefined;
  directory: string;
};

async function importAll(sources: string[], config?: string): Promise<Imported> {
  const directory = await mkdtemp(join(folder, 'pack-'));
  let plan: ImportPlan | undefined;
  const declaration = await importCheckpoint(directory, {
    sources,
    id: 'tiny',
    precision: 'fp32',
    config,
    onPlan: (announced) => {
      plan = announced;
    },
  });
  if (plan === undefined) throw new Error('there should be a plan');
  return {
    plan,
    declaration,
    directory,
    digest: (file) => declaration.files.find(({ path }) => path === file)?.sha256,
  };
}

/** Tensors of a source under the names that a pattern matches, each number doubled. */
async function doubled(path: string, pattern: RegExp): Promise<Record<string, TestTensor>> {
  const source = await CheckpointSource.open(path);
  try {
    const tensors: Record<string, TestTensor> = {};
    for (const [name, { tensor, file }] of source.tensors) {
      if (!pattern.test(name)) continue;
      const values = toFloat32(await file.read(tensor), tensor.dtype).map((value) => 2 * value);
      tensors[name] = { shape: [...tensor.shape], values };
    }
    return tensors;
  } finally {
    await source.close();
  }
}

const PROJECTION = /^language_projection\./;

describe('over its base', () => {
  let base: Imported;
  beforeEach(async () => {
    base = await importAll([BASE]);
  });

  function expectOnlyProjection({ digest, plan }: Imported): void {
    expect(digest('qformer.onnx.data')).not.toBe(base.digest('qformer.onnx.data'));
    for (const file of ['vision_encoder.onnx.data', 'decoder.onnx.data', 'tokenizer.json']) {
      expect(digest(file), file).toBe(base.digest(file));
    }
    expect(plan.replaced.map(({ name }) => name)).toEqual(['language_projection.bias', 'language_projection.weight']);
  }

  test('a folder with a part of the weights and nothing else', async () => {
    await writeSafetensors(join(tuned, 'model.safetensors'), await doubled(BASE, PROJECTION));
    expectOnlyProjection(await importAll([BASE, tuned]));
  });

  test('a single file with a part of the weights, in the marks of wrappers', async () => {
    const tensors = Object.entries(await doubled(BASE, PROJECTION));
    const path = join(folder, 'weights.safetensors');
    const wrapped = tensors.map(([name, tensor]) => [`module._orig_mod.${name}`, tensor] as const);
    await writeSafetensors(path, Object.fromEntries(wrapped));
    const { digest, plan } = await importAll([BASE, path]);
    expect(digest('qformer.onnx.data')).not.toBe(base.digest('qformer.onnx.data'));
    expect(plan.replaced).toHaveLength(2);
  });

  test('a folder as a trainer saves it: config and weights, but neither tokenizer nor image settings', async () => {
    await cp(join(BASE, 'config.json'), join(tuned, 'config.json'));
    await writeSafetensors(join(tuned, 'model.safetensors'), await doubled(BASE, PROJECTION));
    await writeFile(join(tuned, 'training_args.bin'), 'never opened');
    const imported = await importAll([BASE, tuned]);
    expectOnlyProjection(imported);
    expect(imported.plan.choices).toEqual([]);
  });

  test('all weights in a folder without config, and a base without weights', async () => {
    const bare = join(folder, 'bare');
    await cp(BASE, bare, { recursive: true, filter: (path) => !path.includes('safetensors') });
    await writeSafetensors(join(tuned, 'model.safetensors'), await doubled(BASE, /./));
    expect((await importAll([bare, tuned])).digest('decoder.onnx.data')).not.toBe(base.digest('decoder.onnx.data'));
  });

  test('the weights of its language model alone, by their names there', async () => {
    const names = Object.entries(await doubled(BASE, /^language_model\.model\.decoder\.layers\.0\./));
    const path = join(folder, 'opt.safetensors');
    const alone = names.map(([name, tensor]) => [name.replace('language_model.', ''), tensor] as const);
    await writeSafetensors(path, Object.fromEntries(alone));
    const { digest } = await importAll([BASE, path]);
    expect(digest('decoder.onnx.data')).not.toBe(base.digest('decoder.onnx.data'));
    expect(digest('qformer.onnx.data')).toBe(base.digest('qformer.onnx.data'));
  });

  test('what LAVIS saved of a training, with larger images', async () => {
    const path = join(FIXTURES, 'lavis-checkpoint-best/checkpoint_best.pth');
    const { digest, declaration, plan } = await importAll([BASE, path]);
    expect(declaration.image).toEqual({ ...base.declaration.image, imageSize: 70 });
    expect(digest('decoder.onnx.data')).toBe(base.digest('decoder.onnx.data'));
    expect(digest('qformer.onnx.data')).not.toBe(base.digest('qformer.onnx.data'));
    expect(plan.replaced.map(({ name }) => name)).toContain('language_projection.weight');
  });

  test('biases of the image encoder that the originals keep apart', async () => {
    const bias = await doubled(BASE, /^vision_model\.encoder\.layers\.0\.self_attn\.qkv\.bias$/);
    const [tensor] = Object.values(bias);
    const values = tensor?.values ?? new Float32Array();
    const path = join(folder, 'vit.safetensors');
    await writeSafetensors(path, {
      'visual_encoder.blocks.0.attn.q_bias': { shape: [64], values: values.subarray(0, 64) },
      'visual_encoder.blocks.0.attn.v_bias': { shape: [64], values: values.subarray(128) },
    });
    const { plan } = await importAll([BASE, path]);
    expect(plan.replaced.map(({ name }) => name)).toEqual(['vision_model.encoder.layers.0.self_attn.qkv.bias']);
  });

  test('a tokenizer and image settings in a folder of their own, which are told', async () => {
    await cp(join(FIXTURES, 'hf-blip2-t5/model/tokenizer.json'), join(tuned, 'tokenizer.json'));
    await cp(join(FIXTURES, 'hf-blip2-t5/model/tokenizer_config.json'), join(tuned, 'tokenizer_config.json'));
    const settings = { image_processor: { size: 56, image_mean: [0.5, 0.5, 0.5] } };
    await writeFile(join(tuned, 'processor_config.json'), JSON.stringify(settings));
    const { declaration, directory, plan } = await importAll([BASE, tuned]);
    expect(declaration.image.imageMean).toEqual([0.5, 0.5, 0.5]);
    expect(await readFile(join(directory, 'tokenizer.json'))).toEqual(await readFile(join(tuned, 'tokenizer.json')));
    const why = 'the last source that has it counts';
    expect(plan.choices).toEqual([
      {
        part: 'image settings',
        taken: join(tuned, 'processor_config.json'),
        leftOut: [join(BASE, 'preprocessor_config.json')],
        why,
      },
      { part: 'tokenizer', taken: tuned, leftOut: [BASE], why },
    ]);
  });

  test("a tokenizer of BERT's in a folder of its own is the Q-Former's, never the language model's", async () => {
    const { digest, plan } = await importAll([BASE, join(FIXTURES, 'lavis-blip2-qformer/bert-base-uncased')]);
    expect(digest('tokenizer.json')).toBe(base.digest('tokenizer.json'));
    expect(plan.choices).toEqual([]);
  });
});

test('what LAVIS saved of a training goes over the files that it was trained from', async () => {
  const parts = ['eva_vit_g.pth', 'opt-2.7b', 'blip2_pretrained_opt2.7b.pth'].map((name) => join(LAVIS, name));
  const best = join(FIXTURES, 'lavis-checkpoint-best/checkpoint_best.pth');
  const { declaration, plan } = await importAll([...parts, best], join(LAVIS, 'architecture.json'));
  expect(declaration.family).toBe('blip2-opt');
  const names = plan.replaced.map(({ name }) => name);
  expect(names).toEqual(['query_tokens', 'ln_vision.weight', 'ln_vision.bias', 'opt_proj.weight', 'opt_proj.bias']);
  expect(new Set(plan.replaced.map(({ by }) => by))).toEqual(new Set([best]));
});

describe('refused are', () => {
  test('weights of a model without its config and without its base', async () => {
    await writeSafetensors(join(tuned, 'model.safetensors'), await doubled(BASE, /^vision_model\./));
    await expect(importAll([tuned])).rejects.toThrow(
      /weights of a Hugging Face model, but no source has its config\.json. Give the folder of the model that they were made from before them/,
    );
  });

  test('models of two families', async () => {
    const t5 = join(FIXTURES, 'hf-blip2-t5/model');
    await expect(importAll([BASE, t5])).rejects.toThrow(
      `${t5}: this is a model of the family blip2-t5, but ${BASE} is one of blip2-opt.`,
    );
  });

  test('a model that says nowhere how its images are prepared', async () => {
    await cp(BASE, tuned, { recursive: true, filter: (path) => !path.endsWith('processor_config.json') });
    await rm(join(tuned, 'preprocessor_config.json'), { force: true });
    await expect(importAll([tuned])).rejects.toThrow(
      /the image settings are missing: preprocessor_config\.json, or processor_config\.json with image_processor/,
    );
  });

  test('image settings of another size than the config, with what to write', async () => {
    await cp(BASE, tuned, { recursive: true });
    await writeFile(join(tuned, 'preprocessor_config.json'), '{}');
    await expect(importAll([tuned])).rejects.toThrow(
      /preprocessor_config\.json: it makes images of 384 pixels, but config\.json expects 56\..*write "size": \{"height": 56, "width": 56\}/,
    );
  });

  test('a config whose weights lie in a file of another name, which is named', async () => {
    await cp(join(BASE, 'config.json'), join(tuned, 'config.json'));
    await writeFile(join(tuned, 'checkpoint.pth'), '');
    await writeFile(join(tuned, 'optimizer.pt'), '');
    await expect(importAll([tuned])).rejects.toThrow(
      /expected weights .* beside config\.json; found none\. There is checkpoint\.pth: to import a file of another name, give it as a source/,
    );
  });
});
