/** The tiny BLIP-2 with OPT, imported by us and compared stage by stage with Hugging Face transformers. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkGolden } from '../../src/engine/golden/check.ts';
import type { Golden } from '../../src/engine/golden/record.ts';
import type { GoldenReport } from '../../src/engine/golden/report.ts';
import { importCheckpoint } from '../../src/importer/import-checkpoint.ts';
import { readPack, type Precision } from '../../src/pack/model-declaration.ts';
import { readGoldenFolder } from './golden-folder.ts';

const fixture = join(import.meta.dirname, '../fixtures/hf-blip2-opt');
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-golden-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function importAndCheck(precision: Precision, golden: Golden, tolerance?: number): Promise<GoldenReport> {
  const directory = await mkdtemp(join(folder, 'pack-'));
  await importCheckpoint(directory, { sources: [join(fixture, 'model')], id: 'tiny', precision });
  return checkGolden(await readPack(directory), golden, { threads: 1 }, tolerance);
}

describe('imported in fp32', () => {
  let report: GoldenReport;

  beforeAll(async () => {
    report = await importAndCheck('fp32', await readGoldenFolder(fixture));
  });

  test('every stage is compared', () => {
    expect(report.stages.map(({ stage, elements }) => [stage, elements])).toEqual([
      ['vision (image_embeds)', 4 * 17 * 64],
      ['Q-Former (query_output)', 4 * 8 * 64],
      ['projection (image_tokens)', 4 * 8 * 64],
      ['prompt embeddings (inputs_embeds)', 348 * 64],
      ['first logits', 16 * 512],
      ['step logits', 152 * 512],
      ['beam scores', 3 * 72],
    ]);
  });

  test('every stage is within the tolerances of the record: 1e-4 for hidden states, 5e-4 for logits, 1e-3 for beam scores', () => {
    expect(report.notRun.size).toBe(0);
    for (const { stage, largest, tolerance, ok } of report.stages) {
      expect(ok, `${stage} differs by ${largest}, allowed are ${tolerance}`).toBe(true);
    }
  });

  test('prompt ids are equal, and so are ids and texts alone, in a batch, and in a continuous batch in reverse order', () => {
    expect(report.runs.map(({ name, checked, different }) => [name, checked, different])).toEqual([
      ['prompt ids', 4, []],
      ['greedy, alone', 64, []],
      ['greedy, in a batch of 16', 64, []],
      ['greedy, reversed, continuous batch of 5', 64, []],
      ['beams, alone', 72, []],
      ['beams, in a batch of 16', 72, []],
      ['beams, reversed, continuous batch of 5', 72, []],
    ]);
  });
});

// Measured: 0.014 (fp16) and 0.024 (int12) at most, on logits from -8 to 6.
test.each([
  ['fp16', 0.03],
  ['int12', 0.05],
] as const)('stored as %s, every stage is within %f', async (precision, tolerance) => {
  const golden = { ...(await readGoldenFolder(fixture)), cases: [] };
  const report = await importAndCheck(precision, golden, tolerance);
  for (const { stage, largest, ok } of report.stages) expect(ok, `${stage} differs by ${largest}`).toBe(true);
  expect(report.stages).toHaveLength(6);
});
