/** Phi-2 was published in three layouts of its attention; all of them become the same pack. */
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { importCheckpoint } from '../../../src/importer/import-checkpoint.ts';
import { CheckpointSource } from '../../../src/importer/read/checkpoint-source.ts';
import { toFloat32 } from '../../../src/tensor/dtype.ts';
import { writeSafetensors, type TestTensor } from '../write-safetensors.ts';

const FIXTURE = join(import.meta.dirname, '../../fixtures/tinygpt-v');
const [HEADS, HEAD_DIM, LAYERS] = [4, 16, 3];

let folder: string;
let perHead: Record<string, TestTensor>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-phi-'));
  const source = await CheckpointSource.open(join(FIXTURE, 'phi-2'));
  perHead = {};
  for (const [name, { tensor, file }] of source.tensors)
    perHead[name] = { shape: [...tensor.shape], values: toFloat32(await file.read(tensor), tensor.dtype) };
  await source.close();
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** Rows of one role (0 query, 1 key, 2 value) of a tensor whose rows are [head, role, feature]. */
function rowsOf(tensor: TestTensor, role: number): TestTensor {
  const width = tensor.shape.slice(1).reduce((product, size) => product * size, 1);
  const rows = HEADS * HEAD_DIM;
  const values = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    const from = (Math.floor(row / HEAD_DIM) * 3 + role) * HEAD_DIM + (row % HEAD_DIM);
    values.set(tensor.values.subarray(from * width, (from + 1) * width), row * width);
  }
  return { shape: [rows, ...tensor.shape.slice(1)], values };
}

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
  const apart: Record<string, TestTensor> = {};
  for (const [name, tensor] of Object.entries(perHead)) {
    if (!name.includes('query_key_value')) apart[name] = tensor;
    else
      ['q_proj', 'k_proj', 'v_proj'].forEach((projection, role) => {
        apart[name.replace('query_key_value', projection)] = rowsOf(tensor, role);
      });
  }
  expect(await decoderDigest(await writePhi('apart', apart))).toBe(await decoderDigest(join(FIXTURE, 'phi-2')));
});

test('by role and under other names, as it was first published', async () => {
  const original: Record<string, TestTensor> = {};
  for (const [name, tensor] of Object.entries(perHead)) {
    const joined = [0, 1, 2].map((role) => rowsOf(tensor, role).values);
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
