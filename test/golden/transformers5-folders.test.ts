/** Folders as transformers 5 saves them, without a preprocessor_config.json: imported, they are what their golden records say, stage by stage. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkGolden } from '../../src/engine/golden/check.ts';
import { importCheckpoint } from '../../src/importer/import-checkpoint.ts';
import { readPack } from '../../src/pack/model-declaration.ts';
import { readGoldenFolder } from './golden-folder.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures');

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-transformers5-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** Moves the image settings of a folder into its processor_config.json. */
async function moveImageSettings(directory: string): Promise<void> {
  const read = async (name: string): Promise<Record<string, unknown>> =>
    JSON.parse(await readFile(join(directory, name), 'utf8').catch(() => '{}')) as Record<string, unknown>;
  const { processor_class: name, ...settings } = await read('preprocessor_config.json');
  const processor = { ...(await read('processor_config.json')), image_processor: settings, processor_class: name };
  await writeFile(join(directory, 'processor_config.json'), JSON.stringify(processor));
  await rm(join(directory, 'preprocessor_config.json'));
}

/** Every stage that is outside its tolerance, and every run in which something differs. */
async function differences(
  sources: string[],
  golden: string,
): Promise<{ stages: number; runs: number; different: string[] }> {
  const directory = await mkdtemp(join(folder, 'pack-'));
  await importCheckpoint(directory, { sources, id: 'tiny', precision: 'fp32' });
  const report = await checkGolden(await readPack(directory), await readGoldenFolder(golden), { threads: 1 });
  return {
    stages: report.stages.length,
    runs: report.runs.length,
    different: [
      ...report.stages.filter(({ ok }) => !ok).map(({ stage, largest }) => `${stage}: ${largest}`),
      ...report.runs.filter(({ different }) => different.length > 0).map(({ name }) => name),
    ],
  };
}

test.each([
  ['hf-blip2-opt', 7, 7],
  ['hf-blip2-t5', 8, 7],
  ['hf-blip2-itm', 6, 1],
])('%s', async (fixture, stages, runs) => {
  const model = join(folder, 'model');
  await cp(join(FIXTURES, fixture, 'model'), model, { recursive: true });
  await moveImageSettings(model);
  expect(await differences([model], join(FIXTURES, fixture))).toEqual({ stages, runs, different: [] });
});

test('with a LoRA adapter, the numbers are those of the model that PEFT merged', async () => {
  const model = join(folder, 'model');
  await cp(join(FIXTURES, 'hf-blip2-opt/model'), model, { recursive: true });
  await moveImageSettings(model);
  const adapter = join(FIXTURES, 'lora-adapters/opt-default');
  expect(await differences([model, adapter], adapter)).toEqual({ stages: 4, runs: 4, different: [] });
});
