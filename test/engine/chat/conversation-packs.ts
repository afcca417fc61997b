/** Tiny packs of models that hold conversations, imported from their checkpoints, with what their references answered. */
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import type { Golden } from '../../../src/engine/golden/record.ts';
import { importCheckpoint } from '../../../src/importer/import-checkpoint.ts';
import { readPack, type Pack } from '../../../src/pack/model-declaration.ts';
import { readGoldenFolder } from '../../golden/golden-folder.ts';

const FIXTURES = join(import.meta.dirname, '../../fixtures');

type Source = { sources: string[]; config?: string; golden: string };

export const SOURCES = {
  OPT: {
    sources: ['hf-blip2-opt/model'],
    golden: 'hf-blip2-opt',
  },
  'LLaMA (Vicuna)': {
    sources: ['eva_vit_g.pth', 'blip2_pretrained_flant5xxl.pth', 'vicuna', 'pretrained_minigpt4_7b.pth'].map(
      (file) => `minigpt4-vicuna/${file}`,
    ),
    config: 'minigpt4-vicuna/architecture.json',
    golden: 'minigpt4-vicuna',
  },
  'LLaMA-2': {
    sources: ['eva_vit_g.pth', 'llama-2-chat', 'pretrained_minigpt4_llama2_7b.pth'].map(
      (file) => `minigpt4-llama2/${file}`,
    ),
    config: 'minigpt4-llama2/architecture.json',
    golden: 'minigpt4-llama2',
  },
  Phi: {
    sources: [
      ...['eva_vit_g.pth', 'blip2_pretrained_flant5xxl.pth', 'phi-2'].map((file) => `tinygpt-v/${file}`),
      'tinygpt-v/stage3/TinyGPT-V_for_Stage3.pth',
    ],
    config: 'tinygpt-v/stage3/architecture.json',
    golden: 'tinygpt-v/stage3',
  },
  T5: { sources: ['hf-blip2-t5/model'], golden: 'hf-blip2-t5' },
} as const satisfies Record<string, Source>;

/** @param folder where the pack's folder is made */
export async function importTinyPack(
  folder: string,
  name: keyof typeof SOURCES,
): Promise<{ pack: Pack; golden: Golden }> {
  const { sources, golden, ...rest }: Source = SOURCES[name];
  const directory = await mkdtemp(join(folder, 'pack-'));
  await importCheckpoint(directory, {
    sources: sources.map((path) => join(FIXTURES, path)),
    id: 'tiny',
    precision: 'fp32',
    config: rest.config && join(FIXTURES, rest.config),
  });
  return { pack: await readPack(directory), golden: await readGoldenFolder(join(FIXTURES, golden)) };
}
