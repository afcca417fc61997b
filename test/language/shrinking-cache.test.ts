/** The cache of a real decoder gives memory back when a long row has ended, and the rows that go on do not notice. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chooseGreedily } from '../../src/language/greedy.ts';
import { KvCache } from '../../src/language/kv-cache.ts';
import { ownCache, type LanguageModel, type RowCache, type RowEmbeds } from '../../src/language/language-model.ts';
import { loadLanguageModel } from '../../src/language/load-language-model.ts';
import { readPack } from '../../src/pack/model-declaration.ts';
import { rowsOf } from '../vision/tiny-pack.ts';

const ROWS = 2;
let language: LanguageModel;

beforeAll(async () => {
  const pack = await readPack(join(import.meta.dirname, '../../models/nano'));
  language = await loadLanguageModel(pack, { threads: 1 });
});

afterAll(async () => language.dispose());

async function promptOf(length: number): Promise<RowEmbeds> {
  const ids = Array.from({ length }, (_, position) => (position * 37 + 11) % language.declaration.vocabSize);
  return { embeds: await language.embedTokens(ids), length };
}

function bytesOf(cache: RowCache): number {
  const inputs = Object.values(ownCache(cache, KvCache).inputs(0, ROWS));
  return inputs.reduce((sum, { data }) => sum + (data as Float32Array).byteLength, 0);
}

/** Writes greedily in the first row, whose prompt takes `length` positions. @param first the logits after the prompt */
async function write(cache: RowCache, first: Float32Array, length: number, count: number): Promise<number[]> {
  const ids = [chooseGreedily(first)];
  while (ids.length < count) {
    const last = ids[ids.length - 1] ?? -1;
    ids.push(chooseGreedily(await language.step(cache, [last], [length + ids.length - 1])));
  }
  return ids;
}

test('a cache in which a long row has ended becomes as small as if it had not been, and the tokens are the same', async () => {
  const [short, long] = [await promptOf(10), await promptOf(200)];
  const alone = language.newCache(ROWS, 256);
  const { logits } = await language.prefill(alone, 0, [short]);
  const expected = await write(alone, logits, 10, 80);

  const cache = language.newCache(ROWS, 256);
  const [first = logits, second = logits] = rowsOf((await language.prefill(cache, 0, [short, long])).logits, 2);
  let next = [chooseGreedily(first), chooseGreedily(second)];
  const ids = next.slice(0, 1);
  for (let step = 0; step < 3; step++) {
    next = rowsOf(await language.step(cache, next, [10 + step, 200 + step]), 2).map(chooseGreedily);
    ids.push(next[0] ?? -1);
  }
  const large = bytesOf(cache);
  while (ids.length < 80) {
    const last = ids[ids.length - 1] ?? -1;
    ids.push(chooseGreedily(await language.step(cache, [last], [10 + ids.length - 1])));
  }
  expect(ids).toEqual(expected);
  expect(bytesOf(cache)).toBe(bytesOf(alone));
  expect(bytesOf(cache)).toBeLessThan(large / 2);

  // What grows again is right as well.
  const again = await language.prefill(cache, 0, [long]);
  const other = language.newCache(ROWS, 256);
  expect(await write(cache, again.logits, 200, 20)).toEqual(
    await write(other, (await language.prefill(other, 0, [long])).logits, 200, 20),
  );
});
