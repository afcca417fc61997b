import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LanguageModel, RowEmbeds } from '../../src/language/language-model.ts';
import { loadLanguageModel } from '../../src/language/load-language-model.ts';
import { importTinyPack } from '../engine/chat/conversation-packs.ts';

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-extend-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

const LENGTH = 60;

describe.each(['OPT', 'LLaMA (Vicuna)', 'LLaMA-2', 'Phi'] as const)('a prompt that %s reads in parts', (name) => {
  let language: LanguageModel;
  let prompt: RowEmbeds;

  beforeAll(async () => {
    const { pack } = await importTinyPack(folder, name);
    language = await loadLanguageModel(pack, { threads: 1 });
    const { vocabSize } = language.declaration;
    const ids = Array.from({ length: LENGTH }, (_, position) => (position * 37 + 11) % vocabSize);
    prompt = { embeds: await language.embedTokens(ids), length: LENGTH };
  });

  afterAll(async () => language.dispose());

  function part(start: number, end: number): RowEmbeds {
    const { hiddenSize } = language.declaration;
    return { embeds: prompt.embeds.subarray(start * hiddenSize, end * hiddenSize), length: end - start };
  }

  // The same sums in another order: logits may differ by 2e-5 (6e-6 was measured).
  test.each([[[1]], [[32]], [[59]], [[5, 6, 40]]])(
    'has the logits of one that is read at once, cut at %j',
    async (cuts) => {
      const whole = language.newCache(1, LENGTH + 4);
      const { logits: expected } = await language.prefill(whole, 0, [prompt]);
      const expectedNext = await language.step(whole, [3], [LENGTH]);

      const cache = language.newCache(1, LENGTH + 4);
      const ends = [...cuts, LENGTH];
      let { logits } = await language.prefill(cache, 0, [part(0, ends[0] ?? LENGTH)]);
      for (const [index, start] of cuts.entries()) {
        logits =
          (await language.extend?.(cache, 0, part(start, ends[index + 1] ?? LENGTH), start)) ?? new Float32Array();
      }
      expectClose(logits, expected);
      // The keys and values are right too, not only what was said after them.
      expectClose(await language.step(cache, [3], [LENGTH]), expectedNext);
    },
  );

  test('is not mistaken where a row held something else behind its beginning', async () => {
    const { logits: expected } = await language.prefill(language.newCache(1, LENGTH), 0, [prompt]);
    const cache = language.newCache(1, LENGTH + 4);
    await language.prefill(cache, 0, [prompt]);
    await language.extend?.(cache, 0, part(0, 40), 20);
    const logits = await language.extend?.(cache, 0, part(20, LENGTH), 20);
    expectClose(logits ?? new Float32Array(), expected);
  });
});

function expectClose(received: Float32Array, expected: Float32Array): void {
  expect(received).toHaveLength(expected.length);
  for (const [index, value] of expected.entries()) {
    expect(Math.abs((received[index] ?? Number.NaN) - value), `logit ${index}`).toBeLessThanOrEqual(2e-5);
  }
}
