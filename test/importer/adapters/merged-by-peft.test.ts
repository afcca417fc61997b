/** Adapters that PEFT made, laid over their bases: every weight is what PEFT's own merge made of it. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { LLAMA } from '../../../src/importer/architectures/llama.ts';
import { PHI } from '../../../src/importer/architectures/phi.ts';
import { HUGGINGFACE_NAMES } from '../../../src/importer/names/huggingface.ts';
import { rename, type NameRule } from '../../../src/importer/names/name-rule.ts';
import { CheckpointSource } from '../../../src/importer/read/checkpoint-source.ts';
import { SafetensorsFile } from '../../../src/importer/read/safetensors.ts';
import { readAll } from '../../../src/importer/read/weight.ts';
import { CheckpointWeights } from '../../../src/importer/read/weights.ts';
import { layOver, type Overlay } from '../../../src/importer/sources/overlay.ts';
import { assignRoles } from '../../../src/importer/sources/source-role.ts';
import type { Family } from '../../../src/pack/model-declaration.ts';
import { toFloat32 } from '../../../src/tensor/dtype.ts';
import { readPhiTensors, withRolesApart } from '../architectures/phi-tensors.ts';
import { writeSafetensors } from '../write-safetensors.ts';

const FIXTURES = join(import.meta.dirname, '../../fixtures');
const ADAPTERS = join(FIXTURES, 'lora-adapters');

let folder: string;
let phi: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-adapters-'));
  phi = join(folder, 'phi-2');
  await cp(join(FIXTURES, 'tinygpt-v/phi-2/config.json'), join(phi, 'config.json'));
  const tensors = await readPhiTensors(join(FIXTURES, 'tinygpt-v/phi-2'));
  await writeSafetensors(join(phi, 'model.safetensors'), withRolesApart(tensors));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function lay(paths: readonly string[], family: Family): Promise<Overlay> {
  const sources = await Promise.all(paths.map(async (path) => CheckpointSource.open(path)));
  onTestFinished(async () => {
    for (const source of sources) await source.close();
  });
  return layOver(await assignRoles(sources), family);
}

/** Every weight of an overlay, as an architecture would read it. */
async function readWeights(overlay: Overlay): Promise<Map<string, Float32Array>> {
  const weights = new CheckpointWeights(overlay.tensors, { where: 'test', adaptations: overlay.adaptations });
  const values = new Map<string, Float32Array>();
  for (const [name, { tensor }] of overlay.tensors) {
    values.set(name, await readAll(weights.take(name, tensor.shape)));
  }
  return values;
}

test.each<[adapter: string, base: () => string, family: Family, names: readonly NameRule[]]>([
  ['opt-default', () => join(FIXTURES, 'hf-blip2-opt/model'), 'blip2-opt', HUGGINGFACE_NAMES],
  ['opt-patterns', () => join(FIXTURES, 'hf-blip2-opt/model'), 'blip2-opt', HUGGINGFACE_NAMES],
  ['opt-layers', () => join(FIXTURES, 'hf-blip2-opt/model'), 'blip2-opt', HUGGINGFACE_NAMES],
  ['vision-qformer', () => join(FIXTURES, 'hf-blip2-opt/model'), 'blip2-opt', HUGGINGFACE_NAMES],
  ['itm-all-biases', () => join(FIXTURES, 'hf-blip2-itm/model'), 'blip2-itm', HUGGINGFACE_NAMES],
  ['t5', () => join(FIXTURES, 'hf-blip2-t5/model'), 'blip2-t5', HUGGINGFACE_NAMES],
  ['llama', () => join(FIXTURES, 'minigpt4-llama2/llama-2-chat'), 'minigpt4-llama2', LLAMA.names],
  ['phi', () => phi, 'tinygpt-v', PHI.names],
])('%s', async (adapter, base, family, names) => {
  const before = await readWeights(await lay([base()], family));
  const overlay = await lay([base(), join(ADAPTERS, adapter)], family);
  expect([overlay.unknown, overlay.unneeded.filter(({ reason }) => reason.includes('adapter'))]).toEqual([[], []]);
  const after = await readWeights(overlay);
  const file = await SafetensorsFile.open(join(ADAPTERS, adapter, 'merged.safetensors'));
  onTestFinished(async () => file.close());
  const merged = new Map<string, Float32Array>();
  for (const [name, tensor] of file.tensors) {
    const renamed = rename(name, names);
    if (renamed === undefined || !('name' in renamed)) throw new Error(`${name} should be known`);
    merged.set(renamed.name, toFloat32(await file.read(tensor), tensor.dtype));
  }

  expect(merged.size).toBeGreaterThan(0);
  expect([...after.keys()]).toEqual([...before.keys()]);
  for (const [name, values] of after) {
    const expected = merged.get(name) ?? before.get(name) ?? new Float32Array();
    const largest = values.reduce(
      (most, value, index) => Math.max(most, Math.abs(value - (expected[index] ?? NaN))),
      0,
    );
    // What PEFT left alone is left alone; a product is summed up in another order.
    if (merged.has(name)) expect(largest, name).toBeLessThanOrEqual(1e-6);
    else expect(largest, name).toBe(0);
  }
});
