/** Every family's prompts and clean-ups against what the original code made of the same questions. */
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { loadPromptFamily, type Prompt, type PromptFamily } from '../../src/prompt/prompt-family.ts';

type References = {
  prompts: { question?: string; segments: string[] }[];
  conversations: { turns: { question: string; segments: string[]; decoded: string; answer: string }[] }[];
  generated: string[];
};

const FILE = new URL('../fixtures/prompts/references.json', import.meta.url);
const references = JSON.parse(await readFile(FILE, 'utf8')) as Record<string, References>;

const CHAT_FAMILIES = ['minigpt4-vicuna', 'minigpt4-llama2', 'minigpt-v2', 'tinygpt-v', 'tinygpt-v-stage4'];

function reference(family: string): References {
  const record = references[family];
  if (record === undefined) throw new RangeError(`references.json has no ${family}`);
  return record;
}

function segmentsOf(prompt: Prompt): string[] {
  return prompt.segments.map((segment) => (segment.type === 'image' ? '<image>' : segment.text));
}

test('there is a reference for every prompt file', async () => {
  await expect(loadPromptFamily('')).rejects.toThrow(
    /has blip2, instructblip, minigpt-v2, minigpt4-llama2, minigpt4-vicuna, tinygpt-v, tinygpt-v-stage4\./,
  );
  expect(Object.keys(references).toSorted()).toEqual(['blip2', 'instructblip', ...CHAT_FAMILIES].toSorted());
});

test.each([
  ['blip2', (family: PromptFamily) => family.caption()],
  ['blip2', (family: PromptFamily) => family.caption('a photo of')],
  ['blip2', (family: PromptFamily) => family.question('what is this?')],
  [
    'blip2',
    (family: PromptFamily) =>
      family.conversation(
        [
          { question: 'what is this?', answer: 'a cat' },
          { question: 'what color is the cat?', answer: 'grey' },
        ],
        'where is the cat?',
      ),
  ],
  ['instructblip', (family: PromptFamily) => family.caption('')],
  ['instructblip', (family: PromptFamily) => family.caption()],
  ['instructblip', (family: PromptFamily) => family.question('what is this?')],
  [
    'instructblip',
    (family: PromptFamily) =>
      family.caption(
        'Describe this image in detail. What is the color of the small cat sitting on the wooden table near the window?',
      ),
  ],
] as const)('%s: %o is one of the prompts of the reference', async (name, ask) => {
  const expected = reference(name).prompts.map(({ segments }) => segments);
  expect(expected).toContainEqual(segmentsOf(ask(await loadPromptFamily(name))));
});

describe.each(CHAT_FAMILIES)('%s', async (name) => {
  const family = await loadPromptFamily(name);
  const { prompts, conversations, generated } = reference(name);

  test.each(prompts)('asks "$question" as the reference does', ({ question = '', segments }) => {
    expect(segmentsOf(family.question(question))).toEqual(segments);
    expect(segmentsOf(family.caption(question))).toEqual(segments);
    expect(segmentsOf(family.conversation([], question))).toEqual(segments);
  });

  test.each(conversations)('repeats the turns of conversation %# as the reference does', ({ turns }) => {
    expect(turns).toHaveLength(2);
    turns.forEach(({ question, segments }, index) => {
      expect(segmentsOf(family.conversation(turns.slice(0, index), question))).toEqual(segments);
    });
  });

  test.each(conversations.flatMap(({ turns }) => turns))('cleans up $decoded', ({ decoded, answer }) => {
    expect(family.cleanUp(decoded)).toBe(answer);
  });

  test.each(generated)('leaves %j, as its batch generate gives it, as it is', (text) => {
    expect(family.cleanUpGenerated(text)).toBe(text);
  });
});

test('only the chat ends an answer at ###: batch generate keeps it', async () => {
  const [withMark] = reference('tinygpt-v').generated;
  const family = await loadPromptFamily('tinygpt-v');
  expect(withMark).toContain('bollow###led');
  expect(family.cleanUp(withMark ?? '')).toMatch(/bollow$/);
  expect(family.cleanUpGenerated(withMark ?? '')).toContain('bollow###led');
});
