import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { embedPrompt, promptLength } from '../../src/engine/prompt-embeds.ts';

/** A table in which token `id` is [id, id + 0.5]. */
const language = {
  declaration: { hiddenSize: 2 },
  embedTokens: async (ids: readonly number[]) => Float32Array.from(ids.flatMap((id) => [id, id + 0.5])),
};

const IMAGE = Float32Array.of(70, 71, 80, 81);
const PROMPT = { segments: [[1, 2], null, [], [3]], imageTokens: IMAGE };
/** [5, 2] */
const WHOLE = [1, 1.5, 2, 2.5, 70, 71, 80, 81, 3, 3.5];

describe('a prompt', () => {
  test('is its text with the image tokens in their place', async () => {
    expect(promptLength(PROMPT, language.declaration)).toBe(5);
    expect(await embedPrompt(language, PROMPT)).toEqual({ embeds: Float32Array.from(WHOLE), length: 5 });
  });

  test('is embedded in part as it is as a whole', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(4), fc.nat(4), async (a, b) => {
        const [start, end] = [Math.min(a, b), Math.max(a, b) + 1];
        const { embeds, length } = await embedPrompt(language, PROMPT, start, end);
        expect([length, ...embeds]).toEqual([end - start, ...WHOLE.slice(2 * start, 2 * end)]);
      }),
    );
  });

  test('asks only for the tokens of the part', async () => {
    const asked: number[][] = [];
    const counting = {
      ...language,
      embedTokens: async (ids: readonly number[]) => {
        asked.push([...ids]);
        return language.embedTokens(ids);
      },
    };
    await embedPrompt(counting, PROMPT, 1, 4);
    expect(asked).toEqual([[2]]);
  });

  test('without an image needs no image tokens', async () => {
    const text = { segments: [[1]], imageTokens: new Float32Array() };
    expect(await embedPrompt(language, text)).toEqual({ embeds: Float32Array.of(1, 1.5), length: 1 });
  });
});

describe('parts that do not fit each other are refused with both sizes:', () => {
  test('image tokens that are missing', async () => {
    const prompt = { segments: [[1], null], imageTokens: new Float32Array() };
    expect(() => promptLength(prompt, language.declaration)).toThrow('the image has no image tokens');
    await expect(embedPrompt(language, prompt)).rejects.toThrow(RangeError);
  });

  test('image tokens of another width', () => {
    const prompt = { segments: [null], imageTokens: new Float32Array(9) };
    expect(() => promptLength(prompt, language.declaration)).toThrow(
      'the image tokens are 9 numbers, which is no multiple of the hidden size of the language model, 2',
    );
  });

  test('token embeddings of another width', async () => {
    const wide = { ...language, embedTokens: async (ids: readonly number[]) => new Float32Array(ids.length * 3) };
    await expect(embedPrompt(wide, PROMPT)).rejects.toThrow(
      'the token embeddings are 3 numbers wide, and the hidden size of the language model is 2',
    );
  });
});
