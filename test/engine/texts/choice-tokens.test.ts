/** How a choice goes on a prompt, by what the tokenizers of each family declare. Expected tokens are spelled as their vocabularies spell them. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ChoiceTokens, refuseLongChoices } from '../../../src/engine/texts/choice-tokens.ts';
import { UsageError } from '../../../src/errors.ts';
import type { LanguageDeclaration } from '../../../src/pack/model-declaration.ts';
import { loadTokenizer, type Tokenizer } from '../../../src/tokenizer/tokenizer.ts';
import { fakeDeclaration } from '../fake-decoder.ts';
import { tokenizerOf } from '../../tokenizer/tokenizer-fixtures.ts';

const PHI = join(import.meta.dirname, '../../fixtures/tinygpt-v/phi-2');

/** The ids of tokens as the vocabulary spells them; fails where it has none. */
function idsOf(tokenizer: Tokenizer, tokens: readonly string[]): number[] {
  return tokens.map((token) => {
    const id = tokenizer.tokenId(token);
    if (id === undefined) throw new Error(`the vocabulary should have ${token}`);
    return id;
  });
}

function language(kind: LanguageDeclaration['kind'], eosTokenIds: number[]): LanguageDeclaration {
  return { ...fakeDeclaration(kind, 64), eosTokenIds };
}

describe('a tokenizer prepends a space by itself', () => {
  test.each([
    ['blip2-opt-2.7b', false],
    ['blip2-flan-t5-xl', true],
    ['tiny-opt', false],
    ['tiny-t5', true],
    ['tiny-llama', true],
    ['tiny-bert', false],
  ])('%s: %s', async (name, expected) => {
    const tokenizer = await tokenizerOf(name);
    expect(tokenizer.prependsSpace).toBe(expected);
  });

  test('Phi-2: false', async () => {
    expect((await loadTokenizer(PHI)).prependsSpace).toBe(false);
  });
});

describe('a choice goes on its prompt', () => {
  test('with a space in front in a byte-level vocabulary: the published one of OPT writes "Answer: yes" so', async () => {
    const tokenizer = await tokenizerOf('blip2-opt-2.7b');
    const [lineFeed = 0] = idsOf(tokenizer, ['Ċ']);
    const choices = new ChoiceTokens(tokenizer, language('decoder-only', [lineFeed]), []);
    const prompt = '<image>Question: Is it a dog? Answer:';
    expect(choices.continue({ text: prompt }, ['yes', 'no'])).toEqual([
      idsOf(tokenizer, ['Ġyes', 'Ċ']),
      idsOf(tokenizer, ['Ġno', 'Ċ']),
    ]);
    for (const choice of ['yes', 'a red sofa', 'café 猫', '12:30', "it's"]) {
      const [continuation] = choices.continue({ text: prompt }, [choice]);
      const before = tokenizer.encode(prompt, { addSpecialTokens: false });
      const whole = tokenizer.encode(`${prompt} ${choice}\n`, { addSpecialTokens: false });
      expect([...before, ...(continuation ?? [])]).toEqual(whole);
    }
  });

  test('without one where the prompt ends with white space, as TinyGPT-V was trained', async () => {
    const tokenizer = await loadTokenizer(PHI);
    const separator = idsOf(tokenizer, ['###']);
    const choices = new ChoiceTokens(tokenizer, language('decoder-only', [560]), [separator]);
    const encode = (text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false });
    expect(choices.continue({ text: '…###Assistant: ' }, ['dog'])).toEqual([[...encode('dog'), ...separator]]);
    expect(choices.continue({ text: '… [/INST]' }, ['dog'])).toEqual([[...encode(' dog'), ...separator]]);
    expect(encode('dog')).not.toEqual(encode(' dog'));
  });

  test('by itself in a SentencePiece vocabulary, which puts the space there, whatever the prompt ends with', async () => {
    const tokenizer = await tokenizerOf('vicuna');
    const choices = new ChoiceTokens(tokenizer, language('decoder-only', [2]), []);
    for (const text of ['… Answer:', '…###Assistant: ']) {
      const [ids] = choices.continue({ text }, ['a']);
      expect(ids).toEqual([...idsOf(tokenizer, ['▁a']), 2]);
    }
  });

  test('as a text of its own behind an encoder: the published vocabulary of Flan-T5 writes "yes" so', async () => {
    const tokenizer = await tokenizerOf('blip2-flan-t5-xl');
    const choices = new ChoiceTokens(tokenizer, language('encoder-decoder', [1]), []);
    expect(choices.continue({ text: '<image>… Answer:' }, ['yes', 'a cat'])).toEqual([
      tokenizer.encode('yes', { addSpecialTokens: true }),
      tokenizer.encode('a cat', { addSpecialTokens: true }),
    ]);
  });
});

describe('the end of a choice', () => {
  test('is the first end token where there is no separator', async () => {
    const tokenizer = await tokenizerOf('tiny-llama');
    const choices = new ChoiceTokens(tokenizer, language('decoder-only', [2, 7]), []);
    expect(choices.continue({ text: '' }, ['yes'])[0]?.at(-1)).toBe(2);
  });

  test('is the separator as the vocabulary spells it right behind a word, whichever spelling is named first', async () => {
    const tokenizer = await tokenizerOf('vicuna');
    const alone = idsOf(tokenizer, ['▁###']);
    const behind = idsOf(tokenizer, ['##', '#']);
    for (const sequences of [
      [alone, behind],
      [behind, alone],
    ]) {
      const choices = new ChoiceTokens(tokenizer, language('decoder-only', [2]), sequences);
      expect(choices.continue({ text: ' ' }, ['a'])[0]?.slice(1)).toEqual(behind);
    }
    const whole = tokenizer.encode('a###', { addSpecialTokens: false });
    expect(whole.slice(1)).toEqual(behind);
  });
});

describe('refused is', () => {
  test.each(['a\nb', 'a </s>'])('a choice that holds what ends an answer: %j', async (choice) => {
    const tokenizer = await tokenizerOf('tiny-opt');
    const ends = idsOf(tokenizer, ['Ċ', '</s>']);
    const choices = new ChoiceTokens(tokenizer, language('decoder-only', ends), []);
    expect(() => choices.continue({ text: '…' }, ['yes', choice])).toThrow(
      new UsageError(
        `the choice "${choice}" contains the text that ends an answer, so this model cannot write it. Change the choice.`,
      ),
    );
  });

  test('a choice that is no different from another in this vocabulary', async () => {
    const tokenizer = await tokenizerOf('blip2-flan-t5-xl');
    const choices = new ChoiceTokens(tokenizer, language('encoder-decoder', [1]), []);
    expect(() => choices.continue({ text: '…' }, ['猫', 'yes', '犬'])).toThrow(
      'this model cannot tell the choices "猫" and "犬" apart: its vocabulary writes both with the same tokens. Leave one out.',
    );
  });

  test('a choice without tokens', async () => {
    const tokenizer = await tokenizerOf('tiny-llama');
    const choices = new ChoiceTokens(tokenizer, language('decoder-only', [2]), []);
    expect(() => choices.continue({ text: '…' }, [''])).toThrow('the choice "" has no tokens');
  });

  test('a choice that is longer than what the model can write behind an image; one that just fits is not', () => {
    const prompt = {
      text: '',
      segments: [],
      instruction: undefined,
      choices: ['long'],
      continuations: [[1, 2, 3, 4, 5]],
    };
    const model = { id: 'tiny', numImageTokens: 4 };
    const check = (kind: LanguageDeclaration['kind'], positions: number) => () =>
      refuseLongChoices(prompt, fakeDeclaration(kind, positions), model);
    expect(check('decoder-only', 9)).not.toThrow();
    expect(check('decoder-only', 8)).toThrow(
      'the choice that begins "long" is too long: it has 5 tokens, and the model tiny has room for 4 after the image, including the prompt.',
    );
    expect(check('encoder-decoder', 5)).not.toThrow();
    expect(check('encoder-decoder', 4)).toThrow(UsageError);
  });
});
