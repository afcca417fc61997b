import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { readPrompts, TOKENIZERS } from './tokenizer-fixtures.ts';

const { models, matching } = readPrompts();

describe.each(models)(
  'the prompts of $model',
  async ({ tokenizer: name, specialTokens, prompts, qformer, answers }) => {
    const tokenizer = await loadTokenizer(join(TOKENIZERS, name));

    test('get the ids of the reference, each segment by itself', () => {
      expect(prompts.length).toBeGreaterThan(3);
      for (const segments of prompts) {
        for (const [index, [text, ids]] of segments.entries()) {
          const addSpecialTokens = specialTokens === 'all' || index === 0;
          expect(tokenizer.encode(text, { addSpecialTokens }), text).toEqual(ids);
        }
      }
    });

    test.each(qformer)('get the ids of the reference for the Q-Former: %s', async (text, ids) => {
      const bert = await loadTokenizer(join(TOKENIZERS, 'tiny-bert'));
      expect(bert.encode(text, { addSpecialTokens: true })).toEqual(ids);
    });

    test('have answers that decode to the text of the reference', () => {
      expect(answers.length).toBeGreaterThan(2);
      for (const [ids, text] of answers) expect(tokenizer.decode(ids).trim(), ids.join()).toBe(text);
    });
  },
);

test('the texts that hf-blip2-itm matches get the ids of the reference', async () => {
  const found = matching.find(({ model }) => model === 'hf-blip2-itm');
  const tokenizer = await loadTokenizer(join(TOKENIZERS, 'bert-itm'));
  expect(found?.texts.map(([text]) => tokenizer.encode(text, { addSpecialTokens: true }))).toEqual(
    found?.texts.map(([, ids]) => ids),
  );
  expect(found?.texts).toHaveLength(5);
});
