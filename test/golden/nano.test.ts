/** The embedded model against Hugging Face transformers, fed with the reference's own pixels. */
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { checkGolden } from '../../src/engine/golden/check.ts';
import type { GoldenReport } from '../../src/engine/golden/report.ts';
import { readPack } from '../../src/pack/model-declaration.ts';
import { readGoldenFolder } from './golden-folder.ts';

const pack = join(import.meta.dirname, '../../models/nano');
let report: GoldenReport;

beforeAll(async () => {
  const golden = await readGoldenFolder(join(import.meta.dirname, '../fixtures/nano'));
  report = await checkGolden(await readPack(pack), golden, { threads: 2 }, 0.01);
});

test('twelve bits per weight keep every stage of vision, and the scores of beams, within 0.01', () => {
  expect(report.stages.map(({ stage, ok }) => [stage, ok])).toEqual([
    ['vision (image_embeds)', true],
    ['Q-Former (query_output)', true],
    ['projection (image_tokens)', true],
    ['beam scores', true],
  ]);
});

test('at least 97 % of the greedy answers have the ids of the reference, however they are batched', () => {
  const greedy = report.runs.filter(({ name }) => name.startsWith('greedy'));
  expect(greedy).toHaveLength(3);
  for (const { name, checked, equal } of greedy) {
    expect(checked).toBe(96);
    expect(equal / checked, name).toBeGreaterThanOrEqual(0.97);
  }
});

test('at least 97 % of the beam searches have the ids of the reference, and the scores agree', () => {
  const beams = report.runs.filter(({ name }) => name.startsWith('beams with the end of transformers 5'));
  expect(beams).toHaveLength(3);
  for (const { name, checked, equal } of beams) {
    expect(checked).toBe(32);
    expect(equal / checked, name).toBeGreaterThanOrEqual(0.97);
  }
  // Measured 0.0004.
  expect(report.stages.find(({ stage }) => stage === 'beam scores')?.largest).toBeLessThan(0.002);
});

test('the tokenizer gives the reference ids of every prompt', () => {
  expect(report.runs.find(({ name }) => name === 'prompt ids')).toMatchObject({ checked: 6, equal: 6 });
});
