import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { PackError } from '../../src/errors.ts';
import { loadPromptFamily, PromptFamily } from '../../src/prompt/prompt-family.ts';

const BLIP2 = fileURLToPath(new URL('../../prompts/blip2.json', import.meta.url));

const blip2 = await loadPromptFamily('blip2');
const blip2Json = JSON.parse(await readFile(BLIP2, 'utf8')) as Record<string, Record<string, unknown>>;

/** What a BLIP-2 prompt with this text must be. */
function prompt(text: string) {
  return {
    text: `<image>${text}`,
    segments: [{ type: 'image' }, { type: 'text', text, addSpecialTokens: true }],
  };
}

function parse(json: unknown): PromptFamily {
  return PromptFamily.parse(JSON.stringify(json), 'x.json');
}

/** The file of BLIP-2 with one key of a section changed. */
function withKey(section: string, key: string, value: unknown): unknown {
  return { ...blip2Json, [section]: { ...blip2Json[section], [key]: value } };
}

describe('the prompts of BLIP-2', () => {
  test('a caption without a prompt still has a text, so that the start token is put in', () => {
    expect(blip2.caption()).toEqual(prompt(''));
  });

  test('a caption continues the given prompt, a trailing space included', () => {
    expect(blip2.caption('a photo of ')).toEqual(prompt('a photo of '));
  });

  test('a question stands between Question: and Answer:', () => {
    expect(blip2.question('what color is the dog?')).toEqual(prompt('Question: what color is the dog? Answer:'));
  });

  test('a conversation joins its turns by one space', () => {
    const turns = [
      { question: 'what is it?', answer: 'a dog' },
      { question: 'where?', answer: 'on a beach' },
    ];
    expect(blip2.conversation(turns, 'why?')).toEqual(
      prompt('Question: what is it? Answer: a dog. Question: where? Answer: on a beach. Question: why? Answer:'),
    );
  });

  test('a conversation that just begins is one question', () => {
    expect(blip2.conversation([], 'what?')).toEqual(blip2.question('what?'));
  });

  test('answers lose the white space that Python would strip, and no other', () => {
    expect(blip2.cleanUp('\u{1c} \n a dog  runs\u{3000}\u{85}\t')).toBe('a dog  runs');
    expect(blip2.cleanUp('\u{feff}a dog\u{200b}')).toBe('\u{feff}a dog\u{200b}');
  });

  test('the default lengths are those of LAVIS', () => {
    expect(blip2.defaults).toEqual({
      caption: { maxNewTokens: 30, minNewTokens: 0 },
      ask: { maxNewTokens: 10, minNewTokens: 0 },
    });
  });
});

describe('text of the user', () => {
  const tricky = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(
      '{question}',
      '{turns}',
      '{answer}',
      '{prompt}',
      '$&',
      '$1',
      "$'",
      '<image>',
      'a <image> b {question} $&',
    ),
  );

  test('is taken as it is, whatever it holds', () => {
    fc.assert(
      fc.property(tricky, tricky, tricky, (question, earlier, answer) => {
        expect(blip2.caption(question)).toEqual(prompt(question));
        expect(blip2.question(question)).toEqual(prompt(`Question: ${question} Answer:`));
        expect(blip2.conversation([{ question: earlier, answer }], question)).toEqual(
          prompt(`Question: ${earlier} Answer: ${answer}. Question: ${question} Answer:`),
        );
      }),
    );
  });

  test('never becomes a second image', () => {
    const { segments } = blip2.question('what is left of <image>?');
    expect(segments.filter((segment) => segment.type === 'image')).toHaveLength(1);
  });
});

describe('a prompt file', () => {
  test.each([
    ['an unknown key', { ...blip2Json, beams: 5 }, /beams is not known/],
    ['an unknown key of a section', withKey('caption', 'beams', 5), /caption\.beams is not known/],
    ['a template without its placeholder', withKey('question', 'template', '<image>What?'), /question\.template/],
    [
      'a template with a foreign placeholder',
      withKey('caption', 'template', '<image>{prompt}{x}'),
      /caption\.template/,
    ],
    ['a template without an image', withKey('question', 'template', '{question}'), /question\.template/],
    ['a turn with an image', withKey('conversation', 'turn', '<image>{question}{answer}'), /conversation\.turn/],
    ['a negative length', withKey('question', 'max_new_tokens', -1), /question\.max_new_tokens/],
    ['a stop rule that is not known', { ...blip2Json, stop: 'newline' }, /stop should be one of eos/],
    ['a clean-up that is not known', { ...blip2Json, clean_up: 'lower' }, /clean_up should be one of strip/],
    ['a newer schema', { ...blip2Json, schema: 2 }, /schema 2/],
  ])('with %s is refused', (_, json, message) => {
    expect(() => parse(json)).toThrow(message);
    expect(() => parse(json)).toThrow(PackError);
  });

  test.each(['vicuna', '../package', '', '/etc/passwd'])(
    'named %j is not found, and the known ones are named',
    async (name) => {
      await expect(loadPromptFamily(name)).rejects.toThrow(/has blip2/);
    },
  );
});
