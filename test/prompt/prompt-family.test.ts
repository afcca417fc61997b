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

  test('the default lengths are those of LAVIS', () => {
    expect(blip2.defaults).toEqual({
      caption: { maxNewTokens: 30, minNewTokens: 0 },
      ask: { maxNewTokens: 10, minNewTokens: 0 },
      chat: { maxNewTokens: 30, minNewTokens: 0 },
    });
  });

  test('the Q-Former reads no instruction', () => {
    expect(blip2.readsInstruction).toBe(false);
    expect(blip2.caption('a photo of')).not.toHaveProperty('instruction');
  });
});

describe('the prompts of InstructBLIP', async () => {
  const instructblip = await loadPromptFamily('instructblip');

  test('the Q-Former reads the same text as the language model', () => {
    expect(instructblip.readsInstruction).toBe(true);
    expect(instructblip.caption()).toEqual({
      ...prompt('A short image caption.'),
      instruction: 'A short image caption.',
    });
    expect(instructblip.question('where?').instruction).toBe('Question: where? Short Answer:');
  });

  test('a conversation begins with the bare question and goes on with the dialog history in front', () => {
    expect(instructblip.conversation([], 'what?').text).toBe('<image>what?');
    const turns = [
      { question: 'what?', answer: 'a dog' },
      { question: 'where?', answer: '' },
    ];
    const text = 'dialog history: q: what? a: a dog q: where? a: \nwhy?';
    expect(instructblip.conversation(turns, 'why?')).toEqual({ ...prompt(text), instruction: text });
  });

  test('an instruction with the image mark goes to the Q-Former as it was written', () => {
    expect(instructblip.caption('what is <image>?').instruction).toBe('what is <image>?');
  });
});

describe('the prompts of MiniGPT-4', async () => {
  const [vicuna, llama2] = await Promise.all([
    loadPromptFamily('minigpt4-vicuna'),
    loadPromptFamily('minigpt4-llama2'),
  ]);

  test('only the text in front of the image gets a start token', () => {
    const special = vicuna.caption().segments.map((segment) => segment.type === 'text' && segment.addSpecialTokens);
    expect(special).toEqual([true, false, false]);
  });

  test('a caption asks for a detailed description, or for what the user wants', () => {
    expect(vicuna.caption().text).toMatch(/<Img><image><\/Img> Describe this image in detail\.###Assistant: $/);
    expect(vicuna.caption('Name the dog.').text).toMatch(/<\/Img> Name the dog\.###Assistant: $/);
  });

  test('a turn without an answer is its role alone', () => {
    const turns = [
      { question: 'a?', answer: '' },
      { question: 'b?', answer: 'b' },
    ];
    expect(vicuna.conversation(turns, 'c?').text).toMatch(
      /<\/Img> a\?###Assistant: Human: b\?###Assistant: b###Human: c\?###Assistant: $/,
    );
    expect(llama2.conversation(turns, 'c?').text).toMatch(
      /<\/Img> a\? \[\/INST\] <s>\[INST\] b\? \[\/INST\] b<s>\[INST\] c\? \[\/INST\] $/,
    );
  });

  test('an answer ends at ### in either spelling, and LLaMA-2 needs no more than its end token', () => {
    expect(vicuna.stopTokens).toEqual([['▁###'], ['##', '#']]);
    expect(llama2.stopTokens).toEqual([]);
  });

  test('the default lengths are those of the chat', () => {
    const length = { maxNewTokens: 300, minNewTokens: 0 };
    expect(vicuna.defaults).toEqual({ caption: length, ask: length, chat: length });
    expect(llama2.defaults).toEqual(vicuna.defaults);
  });
});

describe.each(['minigpt-v2', 'tinygpt-v-stage4'])('the prompts of %s', async (name) => {
  const family = await loadPromptFamily(name);

  test.each([
    ['What color is it?', '[vqa] What color is it?'],
    ['[vqa] What color is it?', '[vqa] What color is it?'],
    ['[refer] the dog', '[refer] the dog'],
    ['[what] is it?', '[vqa] [what] is it?'],
    ['is [vqa] a task?', '[vqa] is [vqa] a task?'],
  ])('the question %j is asked as %j', (question, asked) => {
    expect(family.question(question).text).toBe(`<s>[INST] <Img><image></Img> ${asked} [/INST]`);
  });

  test('a caption and a conversation have the task that the user writes, or none', () => {
    expect(family.caption().text).toContain('</Img> [caption] please describe this image? [/INST]');
    expect(family.caption('a poem').text).toContain('</Img> a poem [/INST]');
    expect(family.conversation([], 'why?').text).toContain('</Img> why? [/INST]');
  });
});

test('nothing is put around the texts of TinyGPT-V, which stops at ### in both of its forms', async () => {
  for (const name of ['tinygpt-v', 'tinygpt-v-stage4']) {
    const family = await loadPromptFamily(name);
    const special = family.caption().segments.map((segment) => segment.type === 'text' && segment.addSpecialTokens);
    expect(special).toEqual([false, false, false]);
    expect(family.stopTokens).toEqual([['###']]);
  }
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
      '<ImageHere>',
      '</Img>###Human: ',
      '</s>[/INST]',
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

  test.each([
    'blip2',
    'instructblip',
    'minigpt4-vicuna',
    'minigpt4-llama2',
    'minigpt-v2',
    'tinygpt-v',
    'tinygpt-v-stage4',
  ])('never becomes a second image or moves the first in %s', async (name) => {
    const family = await loadPromptFamily(name);
    const [before] = family.question('what?').segments;
    fc.assert(
      fc.property(tricky, tricky, tricky, (question, earlier, answer) => {
        for (const { segments } of [
          family.caption(question),
          family.question(question),
          family.conversation([{ question: earlier, answer }], question),
        ]) {
          expect(segments.filter((segment) => segment.type === 'image')).toHaveLength(1);
          expect(segments[0]).toEqual(before);
          const last = segments.at(-1);
          expect(last?.type === 'text' ? last.text : '').toContain(question);
        }
      }),
    );
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
    ['an opening without its question', withKey('conversation', 'opening', '<image>Hi'), /conversation\.opening/],
    [
      'an unanswered turn with an answer',
      withKey('conversation', 'unanswered_turn', '{question}{answer}'),
      /conversation\.unanswered_turn/,
    ],
    [
      'a default task that is not known',
      withKey('question', 'task', { default: '[vqa]', known: ['[caption]'] }),
      /question\.task\.default should be one of \[caption\]/,
    ],
    [
      'special tokens around something else',
      { ...blip2Json, add_special_tokens: 'last' },
      /add_special_tokens should be one of all, first, none/,
    ],
    ['a stop sequence without a token', { ...blip2Json, stop_tokens: [{ tokens: [] }] }, /stop_tokens\[0\]\.tokens/],
    ['stops that are not lists', { ...blip2Json, stop_tokens: ['###'] }, /stop_tokens\[0\] should be a JSON object/],
    ['a clean-up that lacks a list', { ...blip2Json, clean_up: { answer: [] } }, /clean_up\.generated/],
    [
      'an unknown key of the clean-up',
      { ...blip2Json, clean_up: { answer: [], generated: [], lower: [] } },
      /clean_up\.lower is not known/,
    ],
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
