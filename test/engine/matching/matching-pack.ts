/** Packs that match, imported from tiny checkpoints in their published layouts. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { importCheckpoint } from '../../../src/importer/import-checkpoint.ts';
import { readPack, type Pack } from '../../../src/pack/model-declaration.ts';

const FIXTURES = join(import.meta.dirname, '../../fixtures');

const SOURCES = {
  'hf-blip2-itm': { sources: ['model'], config: undefined },
  'lavis-blip2-qformer': {
    sources: ['eva_vit_g.pth', 'bert-base-uncased', 'blip2_pretrained.pth'],
    config: 'architecture.json',
  },
} as const;

/** Imports a fixture into a new folder, which the caller removes. */
export async function importMatchingPack(name: keyof typeof SOURCES): Promise<Pack> {
  const { sources, config } = SOURCES[name];
  const directory = await mkdtemp(join(tmpdir(), 'minigpt-matching-'));
  await importCheckpoint(directory, {
    sources: sources.map((path) => join(FIXTURES, name, path)),
    id: 'tiny',
    precision: 'fp32',
    config: config && join(FIXTURES, name, config),
  });
  return readPack(directory);
}
