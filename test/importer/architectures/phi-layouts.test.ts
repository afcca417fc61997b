/** Phi-2 was published in three layouts of its attention; all of them become the same pack. */
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { importCheckpoint } from '../../../src/importer/import-checkpoint.ts';
import { writeSafetensors, type TestTensor } from '../write-safetensors.ts';
import { HEAD_DIM, HEADS, readPhiTensors, rowsOfRole, withRolesApart } from './phi-tensors.ts';

const FIXTURE = join(import.meta.dirname, '../../fixtures/tinygpt-v');
const LAYERS = 3;

let folder: string;
let perHead: Record<string, TestTensor>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-phi-'));
  perHead = await readPhiTensors(join(FIXTURE, 'phi-2'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** The name that a tensor had in the first published repository. */
function originalName(name: string): string {
  return name
    .replace('model.embed_tokens', 'transformer.embd.wte')
    .replace(/^model\.layers\.(\d+)\.input_layernorm/, 'transformer.h.$1.ln')
    .replace(/^model\.layers\.(\d+)\.self_attn\.dense/, 'transformer.h.$1.mixer.out_proj')
    .replace(/^model\.layers\.(\d+)\.self_attn\.query_key_value/, 'transformer.h.$1.mixer.Wqkv')
    .replace(/^model\.layers\.(\d+)\.mlp/, 'transformer.h.$1.mlp')
    .replace('model.final_layernorm', 'lm_head.ln')
    .replace(/^lm_head\.(weight|bias)$/, 'lm_head.linear.$1');
}

async function writePhi(
  name: string,
  tensors: Record<string, TestTensor>,
  config?: Record<string, unknown>,
): Promise<string> {
  const directory = join(folder, name);
  await mkdir(directory);
  for (const file of ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'])
    await cp(join(FIXTURE, 'phi-2', file), join(directory, file));
  if (config !== undefined) await writeFile(join(directory, 'config.json'), JSON.stringify(config));
  await writeSafetensors(join(directory, 'model.safetensors'), tensors);
  return directory;
}

/** The weights of the decoder when this Phi-2 is adapted by TinyGPT-V. */
async function decoderDigest(phi: string): Promise<string | undefined> {
  const directory = await mkdtemp(join(folder, 'pack-'));
  const { files } = await importCheckpoint(directory, {
    sources: [
      join(FIXTURE, 'eva_vit_g.pth'),
      join(FIXTURE, 'blip2_pretrained_flant5xxl.pth'),
      phi,
      join(FIXTURE, 'stage3/TinyGPT-V_for_Stage3.pth'),
    ],
    id: 'tiny',
    precision: 'fp32',
    config: join(FIXTURE, 'stage3/architecture.json'),
  });
  return files.find(({ path }) => path === 'decoder.onnx.data')?.sha256;
}

test('queries, keys and values apart, as in today’s repository', async () => {
  const apart = withRolesApart(perHead);
  expect(await decoderDigest(await writePhi('apart', apart))).toBe(await decoderDigest(join(FIXTURE, 'phi-2')));
});

test('by role and under other names, as it was first published', async () => {
  const original: Record<string, TestTensor> = {};
  for (const [name, tensor] of Object.entries(perHead)) {
    const joined = [0, 1, 2].map((role) => rowsOfRole(tensor, role).values);
    const byRole = name.includes('query_key_value')
      ? { shape: tensor.shape, values: Float32Array.from(joined.flatMap((values) => [...values])) }
      : tensor;
    original[originalName(name)] = byRole;
  }
  const config = {
    model_type: 'phi-msft',
    activation_function: 'gelu_new',
    n_embd: HEADS * HEAD_DIM,
    n_head: HEADS,
    n_head_kv: null,
    n_inner: 128,
    n_layer: LAYERS,
    n_positions: 2048,
    rotary_dim: 8,
    layer_norm_epsilon: 1e-5,
    tie_word_embeddings: false,
  };
  const phi = await writePhi('original', original, config);
  expect(await decoderDigest(phi)).toBe(await decoderDigest(join(FIXTURE, 'phi-2')));
});
