import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StreamedAnswer } from '../../../src/engine/chat/streamed-answer.ts';
import { loadPromptFamily } from '../../../src/prompt/prompt-family.ts';
import { loadTokenizer } from '../../../src/tokenizer/tokenizer.ts';

const TOKENIZERS = join(import.meta.dirname, '../../fixtures/tokenizers');

describe.each([
  ['blip2', 'tiny-opt'],
  ['minigpt4-vicuna', 'vicuna'],
  ['tinygpt-v', 'phi-2'],
])('an answer of %s', async (family, name) => {
  const prompts = await loadPromptFamily(family);
  const tokenizer = await loadTokenizer(join(TOKENIZERS, name));

  /** What is on the screen when the answer is complete. */
  function screenAfter(ids: readonly number[]): string {
    const streamed = new StreamedAnswer(tokenizer.startDecoding(), prompts);
    let screen = '';
    const show = (piece: ReturnType<StreamedAnswer['add']>): void => {
      if (piece !== undefined) screen = piece.replaces ? piece.text : screen + piece.text;
      expect(screen).toBe(streamed.text);
    };
    for (const id of ids) show(streamed.add(id));
    show(streamed.show(prompts.cleanUp(tokenizer.decode(ids))));
    return screen;
  }

  test('is on the screen what it is in a record, whatever the model wrote', () => {
    const texts = [' a dog', ' ###', '##', '#', 'Assistant:', ' ', '\n', '😀', 'é', ' Human: x'];
    const usual = texts.flatMap((text) => tokenizer.encode(text, { addSpecialTokens: false }));
    const id = fc.oneof(fc.constantFrom(...usual), fc.integer({ min: 0, max: tokenizer.tokenCount }));
    fc.assert(
      fc.property(fc.array(id, { maxLength: 30 }), (ids) => {
        expect(screenAfter(ids)).toBe(prompts.cleanUp(tokenizer.decode(ids)));
      }),
      { numRuns: 300 },
    );
  });

  test('is shown before it is complete', () => {
    const streamed = new StreamedAnswer(tokenizer.startDecoding(), prompts);
    const pieces = tokenizer
      .encode('a dog and a cat and a dog', { addSpecialTokens: false })
      .map((id) => streamed.add(id));
    expect(pieces.filter((piece) => piece !== undefined).length).toBeGreaterThan(1);
    expect(pieces.some((piece) => piece?.replaces)).toBe(false);
  });
});

test('a mark that ends an answer is never on the screen, not even in part', async () => {
  const tokenizer = await loadTokenizer(join(TOKENIZERS, 'vicuna'));
  const streamed = new StreamedAnswer(tokenizer.startDecoding(), await loadPromptFamily('minigpt4-vicuna'));
  const ids = ['▁a', '##', '#', '▁a'].map((token) => tokenizer.tokenId(token) ?? 0);
  expect(ids.map((id) => streamed.add(id)?.text)).toEqual(['a', undefined, undefined, undefined]);
  expect(streamed.text).toBe('a');
});

test('what stood in front of "Assistant:" is taken back', async () => {
  const tokenizer = await loadTokenizer(join(TOKENIZERS, 'vicuna'));
  const streamed = new StreamedAnswer(tokenizer.startDecoding(), await loadPromptFamily('minigpt4-vicuna'));
  const pieces = tokenizer
    .encode('a dog Assistant: a cat', { addSpecialTokens: false })
    .map((id) => streamed.add(id))
    .filter((piece) => piece !== undefined);
  expect(pieces.some(({ replaces }) => replaces)).toBe(true);
  expect(streamed.text).toBe('a cat');
});
