import { describe, expect, test } from 'vitest';
import { ObjectReader } from '../../src/pack/object-reader.ts';
import { readDetail, type Detail } from '../../src/prompt/detail.ts';
import { Preset } from '../../src/prompt/preset.ts';
import { loadPromptFamily, type PromptFamily } from '../../src/prompt/prompt-family.ts';

const MINIGPT4 = [
  'Describe this image in detail.',
  'Take a look at this image and describe what you notice.',
  'Please provide a detailed description of the picture.',
  'Could you describe the contents of this image for me?',
];

function instructionsOf({ detail }: PromptFamily): readonly string[] {
  return detail?.kind === 'instructions' ? detail.instructions : [];
}

describe.each(['minigpt4-vicuna', 'minigpt4-llama2', 'minigpt-v2', 'tinygpt-v', 'tinygpt-v-stage4'])(
  'the detail of %s',
  async (name) => {
    const family = await loadPromptFamily(name);

    test('is asked for in the wordings of MiniGPT-4, and once more below 80 tokens', () => {
      expect(family.detail).toEqual({
        kind: 'instructions',
        instructions: MINIGPT4,
        goOn: { request: 'Continue', belowTokens: 80 },
      });
    });
  },
);

test.each(['minigpt4-vicuna', 'minigpt4-llama2', 'minigpt-v2', 'tinygpt-v', 'tinygpt-v-stage4', 'instructblip'])(
  'an instruction of %s reads as the first turn of the conversation in which the model is asked to go on',
  async (name) => {
    const family = await loadPromptFamily(name);
    const instructions = instructionsOf(family);
    expect(instructions.length).toBeGreaterThan(1);
    for (const instruction of instructions) {
      expect(family.caption(instruction)).toEqual(family.conversation([], instruction));
    }
  },
);

test('BLIP-2, which takes no instruction, is decoded for long captions', async () => {
  expect((await loadPromptFamily('blip2')).detail).toEqual({ kind: 'preset', preset: 'paper-nocaps' });
});

function read(detail: unknown): Detail | undefined {
  const presets = [
    { name: 'long', tasks: ['caption'] },
    { name: 'short', tasks: ['ask'] },
  ];
  const root = ObjectReader.parse(JSON.stringify({ presets, detail }), 'x.json');
  return readDetail(root, Preset.readAll(root, 'x.json'));
}

const goOn = { request: 'More', below_tokens: 5 };

describe('a prompt file', () => {
  test('may say nothing of detail', () => {
    expect(readDetail(ObjectReader.parse('{}', 'x.json'), [])).toBeUndefined();
  });

  test('names instructions, or a preset for captions', () => {
    expect(read({ instructions: ['Tell.'], go_on: goOn })).toEqual({
      kind: 'instructions',
      instructions: ['Tell.'],
      goOn: { request: 'More', belowTokens: 5 },
    });
    expect(read({ preset: 'long' })).toEqual({ kind: 'preset', preset: 'long' });
  });

  test.each([
    [{ instructions: [], go_on: goOn }, 'detail.instructions should be a list of at least one instruction'],
    [{ instructions: ['Tell.'] }, 'detail.go_on should be a JSON object but is missing'],
    [{ instructions: ['Tell.'], go_on: { ...goOn, often: true } }, 'the key detail.go_on.often is not known'],
    [{ preset: 'short' }, 'detail.preset should be one of long'],
    [{ preset: 'long', instructions: ['Tell.'] }, 'the key detail.instructions is not known'],
  ])('with the detail %j is refused', (detail, message) => {
    expect(() => read(detail)).toThrow(message);
  });
});
