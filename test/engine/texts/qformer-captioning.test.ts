/** The Q-Former that writes captions by itself, in the batch that every language model is decoded in. The reference is LAVIS. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ContinuousBatch, type GeneratedRow } from '../../../src/engine/answers/continuous-batch.ts';
import { ImageError } from '../../../src/errors.ts';
import { QFormerDecoder } from '../../../src/language/qformer-decoder.ts';
import { QueryPrefixEncoder } from '../../../src/vision/query-prefix.ts';
import { buildFirstStagePack, type FirstStagePack } from '../../vision/first-stage-pack.ts';
import { readTensors, rowsOf } from '../../vision/tiny-pack.ts';

const DEC = 320;
const SEP = 102;

type Case = {
  image: number;
  options: { maxNewTokens: number; minNewTokens: number; beams?: number };
  ids: number[];
  finishReason: string;
};

let built: FirstStagePack;
let decoder: QFormerDecoder;
let imageTokens: Float32Array[];
let cases: Case[];

beforeAll(async () => {
  built = await buildFirstStagePack('lavis-blip2-qformer');
  const golden = await readTensors(join(built.fixture, 'golden.safetensors'));
  const encoder = await QueryPrefixEncoder.load(built.pack, { threads: 1 });
  imageTokens = await encoder.encode(rowsOf(golden('pixel_values'), 3));
  await encoder.dispose();
  const { language, numImageTokens } = built.pack.declaration;
  if (language === undefined) throw new Error('the pack should describe its language model');
  decoder = await QFormerDecoder.load(built.pack.directory, language, numImageTokens, { threads: 1 });
  const record = JSON.parse(await readFile(join(built.fixture, 'golden.json'), 'utf8')) as { cases: Case[] };
  cases = record.cases.filter(({ options }) => options.beams === undefined);
});

afterAll(async () => {
  await decoder.dispose();
  await rm(built.pack.directory, { recursive: true });
});

async function write(some: readonly Case[], rows: number): Promise<(GeneratedRow | ImageError | undefined)[]> {
  const { hiddenSize } = decoder.declaration;
  const lengths = some.map(({ image, options }) => {
    const prompt = (imageTokens[image]?.length ?? 0) / hiddenSize + 1;
    return decoder.positionsNeeded(prompt, options.maxNewTokens);
  });
  const batch = new ContinuousBatch(decoder, rows, Math.max(...lengths));
  const results: (GeneratedRow | ImageError | undefined)[] = some.map(() => undefined);
  some.forEach(({ image, options }, index) => {
    batch.add({
      imageTokens: imageTokens[image] ?? new Float32Array(),
      segments: [null, [DEC]],
      options: {
        maxNewTokens: options.maxNewTokens,
        minNewTokens: options.minNewTokens,
        repetitionPenalty: 1,
        noRepeatNgram: 0,
        eosTokenIds: [SEP],
        stopSequences: [],
        score: false,
      },
      resolve: (result) => {
        results[index] = result;
      },
    });
  });
  while (!batch.isIdle) await batch.advance();
  return results;
}

test.each([
  ['alone', 1, 1],
  ['in a batch of 8', 4, 8],
  ['through three rows that come and go', 6, 3],
] as const)('greedy captions are those of the reference: %s', async (_, copies, rows) => {
  expect(cases).toHaveLength(2);
  const some = Array.from({ length: copies }, (__, copy) => (copy % 2 === 0 ? cases : cases.toReversed())).flat();
  const results = await write(some, rows);
  for (const [index, { ids, finishReason }] of some.entries())
    expect(results[index]).toMatchObject({ tokenIds: ids, finishReason });
});
