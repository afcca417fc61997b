/** Every family, imported by us from its published layout and compared stage by stage with its reference implementation. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkGolden } from '../../src/engine/golden/check.ts';
import type { Golden } from '../../src/engine/golden/record.ts';
import type { GoldenReport } from '../../src/engine/golden/report.ts';
import { importCheckpoint } from '../../src/importer/import-checkpoint.ts';
import { readPack, type Family } from '../../src/pack/model-declaration.ts';
import { readGoldenFolder } from './golden-folder.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures');

type Case = {
  family: Family;
  /** Relative to the fixtures. */
  sources: string[];
  config?: string;
  golden: string;
};

const LANGUAGE_STAGES = ['prompt embeddings (inputs_embeds)', 'first logits', 'step logits'];
const QFORMER_STAGES = ['vision (image_embeds)', 'Q-Former (query_output)', 'projection (image_tokens)'];
const PATCH_STAGES = ['vision (image_embeds)', 'projection (image_tokens)'];
const T5_STAGES = ['prompt embeddings (inputs_embeds)', 'encoder (encoder_output)', 'first logits', 'step logits'];
const MATCHING_STAGES = [
  'vision (image_embeds)',
  'Q-Former (query_output)',
  'image features (itc_image)',
  'text features (itc_text)',
  'similarity (itc)',
  'matching (itm_logits)',
  'probability (itm)',
];

const cases: [name: string, Case, stages: string[]][] = [
  [
    'BLIP-2 with Flan-T5 from Hugging Face',
    { family: 'blip2-t5', sources: ['hf-blip2-t5/model'], golden: 'hf-blip2-t5' },
    [...QFORMER_STAGES, ...T5_STAGES],
  ],
  [
    'BLIP-2 for matching from Hugging Face',
    { family: 'blip2-itm', sources: ['hf-blip2-itm/model'], golden: 'hf-blip2-itm' },
    MATCHING_STAGES.filter((stage) => stage !== 'Q-Former (query_output)'),
  ],
  [
    'BLIP-2 with OPT from LAVIS',
    {
      family: 'blip2-opt',
      sources: [
        'lavis-blip2-opt/eva_vit_g.pth',
        'lavis-blip2-opt/opt-2.7b',
        'lavis-blip2-opt/blip2_pretrained_opt2.7b.pth',
      ],
      config: 'lavis-blip2-opt/architecture.json',
      golden: 'lavis-blip2-opt',
    },
    [...QFORMER_STAGES, ...LANGUAGE_STAGES],
  ],
  [
    'the first stage of BLIP-2 from LAVIS',
    {
      family: 'blip2-itm',
      sources: [
        'lavis-blip2-qformer/eva_vit_g.pth',
        'lavis-blip2-qformer/bert-base-uncased',
        'lavis-blip2-qformer/blip2_pretrained.pth',
      ],
      config: 'lavis-blip2-qformer/architecture.json',
      golden: 'lavis-blip2-qformer',
    },
    MATCHING_STAGES,
  ],
  [
    'MiniGPT-4 with Vicuna',
    {
      family: 'minigpt4-vicuna',
      sources: [
        'minigpt4-vicuna/eva_vit_g.pth',
        'minigpt4-vicuna/blip2_pretrained_flant5xxl.pth',
        'minigpt4-vicuna/vicuna',
        'minigpt4-vicuna/pretrained_minigpt4_7b.pth',
      ],
      config: 'minigpt4-vicuna/architecture.json',
      golden: 'minigpt4-vicuna',
    },
    [...QFORMER_STAGES, ...LANGUAGE_STAGES],
  ],
  [
    'MiniGPT-4 with LLaMA-2',
    {
      family: 'minigpt4-llama2',
      sources: [
        'minigpt4-llama2/eva_vit_g.pth',
        'minigpt4-llama2/llama-2-chat',
        'minigpt4-llama2/pretrained_minigpt4_llama2_7b.pth',
      ],
      config: 'minigpt4-llama2/architecture.json',
      golden: 'minigpt4-llama2',
    },
    [...PATCH_STAGES, ...LANGUAGE_STAGES],
  ],
  [
    'MiniGPT-v2, its tokenizer converted from tokenizer.model',
    {
      family: 'minigpt-v2',
      sources: ['minigpt-v2/eva_vit_g.pth', 'minigpt-v2/llama-2-chat', 'minigpt-v2/minigptv2_checkpoint.pth'],
      config: 'minigpt-v2/architecture.json',
      golden: 'minigpt-v2',
    },
    [...PATCH_STAGES, ...LANGUAGE_STAGES],
  ],
  ...([3, 4] as const).map((stage): [string, Case, string[]] => [
    `TinyGPT-V, stage ${stage}`,
    {
      family: stage === 4 ? 'tinygpt-v-stage4' : 'tinygpt-v',
      sources: [
        'tinygpt-v/eva_vit_g.pth',
        'tinygpt-v/blip2_pretrained_flant5xxl.pth',
        'tinygpt-v/phi-2',
        `tinygpt-v/stage${stage}/TinyGPT-V_for_Stage${stage}.pth`,
      ],
      config: `tinygpt-v/stage${stage}/architecture.json`,
      golden: `tinygpt-v/stage${stage}`,
    },
    [...QFORMER_STAGES, ...LANGUAGE_STAGES],
  ]),
];

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-families-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

describe.each(cases)('%s', (_, { family, sources, config, golden: goldenFolder }, stages) => {
  let golden: Golden;
  let report: GoldenReport;

  beforeAll(async () => {
    const directory = await mkdtemp(join(folder, 'pack-'));
    const declaration = await importCheckpoint(directory, {
      sources: sources.map((path) => join(FIXTURES, path)),
      id: 'tiny',
      precision: 'fp32',
      config: config && join(FIXTURES, config),
    });
    expect(declaration.family).toBe(family);
    golden = await readGoldenFolder(join(FIXTURES, goldenFolder));
    report = await checkGolden(await readPack(directory), golden, { threads: 1 });
  });

  test('every stage is within the tolerances of the record: 1e-4 for hidden states, 5e-4 for logits, 1e-3 for beam scores', () => {
    for (const { stage, largest, tolerance, ok } of report.stages) {
      expect(ok, `${stage} differs by ${largest}, allowed are ${tolerance}`).toBe(true);
    }
    const recorded = stages.filter(
      (stage) => stage !== 'step logits' || golden.probes.some(({ forcedIds }) => forcedIds.length > 0),
    );
    if (golden.cases.some(({ score }) => score !== undefined)) recorded.push('beam scores');
    expect(report.stages.map(({ stage }) => stage)).toEqual(recorded);
  });

  test('prompt ids, and ids and texts of everything that is decoded, are equal in every way of running', () => {
    expect(report.notRun.size).toBe(0);
    for (const { name, different } of report.runs) expect(different, name).toEqual([]);
    const turns = golden.conversations.reduce((sum, conversation) => sum + conversation.turns.length, 0);
    const greedy = golden.cases.filter(({ options }) => options.beams === 1).length;
    const beams = golden.cases.length - greedy;
    const checked = {
      'prompt ids': golden.prompts.length,
      'text ids': golden.texts.length,
      'conversation prompt ids': turns,
      'greedy, alone': greedy,
      'greedy, in a batch of 16': greedy,
      'greedy, reversed, continuous batch of 5': greedy,
      'beams, alone': beams,
      'beams, in a batch of 16': beams,
      'beams, reversed, continuous batch of 5': beams,
      conversations: turns,
    };
    expect(Object.fromEntries(report.runs.map((run) => [run.name, run.checked]))).toEqual(
      Object.fromEntries(Object.entries(checked).filter(([, count]) => count > 0)),
    );
  });
});
