/** T5 on a tiny checkpoint, compared with Hugging Face transformers, alone and in batches. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ContinuousBatch, type GeneratedRow, type Job } from '../../src/engine/continuous-batch.ts';
import type { Golden } from '../../src/engine/golden.ts';
import { ImageError } from '../../src/errors.ts';
import { EncoderDecoder } from '../../src/language/encoder-decoder.ts';
import type { RowEmbeds } from '../../src/language/language-model.ts';
import { readGoldenFolder } from '../golden/golden-folder.ts';
import { largestDifference, rowsOf } from '../vision/tiny-pack.ts';
import { buildT5Pack, type T5Pack } from './t5-pack.ts';

const fixture = process.env.T5FIX ?? join(import.meta.dirname, '../fixtures/hf-blip2-t5');
const HIDDEN_TOLERANCE = 1e-4;
const LOGIT_TOLERANCE = 5e-4;

let pack: T5Pack;
let golden: Golden;
let model: EncoderDecoder;

beforeAll(async () => {
  pack = await buildT5Pack(join(fixture, 'model'));
  golden = await readGoldenFolder(fixture);
  model = await EncoderDecoder.load(pack.directory, pack.language, 1);
});

afterAll(async () => {
  await model.dispose();
  await rm(pack.directory, { recursive: true });
});

async function tensor(name: string): Promise<Float32Array> {
  const values = await golden.tensor(name);
  if (values === undefined) throw new Error(`the record holds no ${name}`);
  return values;
}

async function promptOf(image: number, prompt: number): Promise<RowEmbeds> {
  const imageTokens = rowsOf(await tensor('image_tokens'), golden.images.length)[image] ?? new Float32Array();
  const parts = golden.prompts[prompt]?.segmentIds ?? [];
  const embeds = await Promise.all(parts.map((ids) => (ids === null ? imageTokens : model.embedTokens(ids))));
  const joined = Float32Array.from(embeds.flatMap((part) => [...part]));
  return { embeds: joined, length: joined.length / pack.language.hiddenSize };
}

test('measure', async () => {
  let enc = 0, first = 0, steps = 0, emb = 0;
  for (const { index, image, prompt, forcedIds } of golden.probes) {
    const own = await promptOf(image, prompt);
    const given = (await golden.tensor(`probe${index}.inputs_embeds`)) ;
    const row = given ? { embeds: given, length: given.length / 64 } : own;
    if (given) emb = Math.max(emb, largestDifference(own.embeds, given));
    if (given) enc = Math.max(enc, largestDifference(await model.encode(row), await tensor(`probe${index}.encoder_output`)));
    const cache = model.newCache(1, model.positionsNeeded(row.length, forcedIds.length + 1));
    const p = await model.prefill(cache, 0, [row]);
    if (given) first = Math.max(first, largestDifference(p.logits, await tensor(`probe${index}.first_logits`)));
    if (forcedIds.length) {
      const all = [...p.logits];
      for (const [i, id] of forcedIds.entries()) all.push(...(await model.step(cache, [id], [1 + i])));
      const e = await tensor(`probe${index}.step_logits`);
      const d = largestDifference(all.slice(0, e.length), e);
      console.log(index, forcedIds.length, e.length / 512, d);
      steps = Math.max(steps, d);
    }
  }
  console.log({ emb, enc, first, steps, leftOver: pack.leftOver.filter((n) => n.startsWith('language_model')) });
});
