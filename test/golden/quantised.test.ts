/** int8 and int4 change numbers, and so now and then an answer; but an answer is the same alone and in any company. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkGolden } from '../../src/engine/golden/check.ts';
import type { GoldenReport } from '../../src/engine/golden/report.ts';
import { importCheckpoint } from '../../src/importer/import-checkpoint.ts';
import { readPack } from '../../src/pack/model-declaration.ts';
import { readGoldenFolder } from './golden-folder.ts';

const fixture = (name: string): string => join(import.meta.dirname, '../fixtures', name);

const SOURCES: Readonly<Record<string, string[]>> = {
  'hf-blip2-opt': ['model'],
  'hf-blip2-t5': ['model'],
  'minigpt4-llama2': ['eva_vit_g.pth', 'llama-2-chat', 'pretrained_minigpt4_llama2_7b.pth'],
  'tinygpt-v/stage3': ['../eva_vit_g.pth', '../blip2_pretrained_flant5xxl.pth', '../phi-2', 'TinyGPT-V_for_Stage3.pth'],
};

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-quantised-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** Measured at least 0.88 in int4: tiny random matrices are what four bits fit worst. */
const PRECISIONS = [
  ['int8', 0.95],
  ['int4', 0.85],
] as const;

describe.each(PRECISIONS)('%s', (precision, leastCosine) => {
  describe.each(Object.entries(SOURCES))('%s', (name, sources) => {
    let report: GoldenReport;

    beforeAll(async () => {
      const directory = await mkdtemp(join(folder, 'pack-'));
      const { family } = await importCheckpoint(directory, {
        sources: sources.map((source) => join(fixture(name), source)),
        id: 'tiny',
        precision,
        config: name.startsWith('hf-') ? undefined : join(fixture(name), 'architecture.json'),
      });
      expect(family).toBeDefined();
      const golden = await readGoldenFolder(fixture(name));
      const greedy = golden.cases.filter(({ options }) => options.beams === 1);
      report = await checkGolden(await readPack(directory), { ...golden, cases: greedy }, { threads: 1 }, 1000);
    });

    test('every answer is the same alone, in a batch of 16, and in reverse order through five rows', () => {
      const [alone, ...others] = report.runs
        .filter((run) => run.name.startsWith('greedy'))
        .map(({ different }) => different.map((check) => JSON.stringify(check)).toSorted());
      expect(others).toHaveLength(2);
      for (const other of others) expect(other).toEqual(alone);
    });

    test('the stages stay near the reference', () => {
      const [vision] = report.stages;
      expect(vision?.cosine).toBeGreaterThan(0.999);
      for (const { stage, cosine } of report.stages) expect(cosine, stage).toBeGreaterThan(leastCosine);
    });
  });
});
