import { readdir } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { PackError } from '../../src/errors.ts';
import { ObjectReader } from '../../src/pack/object-reader.ts';
import { Preset } from '../../src/prompt/preset.ts';
import { loadPromptFamily } from '../../src/prompt/prompt-family.ts';

const folder = new URL('../../prompts/', import.meta.url);
const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -5));
const families = await Promise.all(names.map(async (name) => ({ name, family: await loadPromptFamily(name) })));

function presetOf(family: string, name: string): Preset {
  const found = families.find((one) => one.name === family)?.family.presets.find((preset) => preset.name === name);
  if (found === undefined) throw new Error(`${family} has no preset ${name}`);
  return found;
}

/** Settings with templates as text. */
function settingsOf(family: string, name: string, kind: 'decoder-only' | 'encoder-decoder' = 'decoder-only') {
  const { questionTemplate, ...settings } = presetOf(family, name).settingsFor(kind);
  return questionTemplate === undefined ? settings : { ...settings, question: questionTemplate.source };
}

describe('the published numbers', () => {
  test('BLIP-2 answers VQA as in the paper: 5 beams, length penalty -1, and a prompt for each language model', () => {
    const shared = { beams: 5, lengthPenalty: -1, maxNewTokens: 10, minNewTokens: 0 };
    expect(settingsOf('blip2', 'paper-vqa')).toEqual({ ...shared, question: '<image>Question: {question} Answer:' });
    expect(settingsOf('blip2', 'paper-vqa', 'encoder-decoder')).toEqual({
      ...shared,
      question: '<image>Question: {question} Short answer:',
    });
  });

  test.each(['blip2', 'instructblip'])('%s: LAVIS favours short answers of T5 alone', (family) => {
    expect(settingsOf(family, 'lavis-vqa')).toMatchObject({ beams: 5, lengthPenalty: 0, maxNewTokens: 10 });
    expect(settingsOf(family, 'lavis-vqa', 'encoder-decoder')).toMatchObject({ beams: 5, lengthPenalty: -1 });
  });

  test('least lengths are one less than published, because those count the start token', () => {
    expect(settingsOf('blip2', 'paper-coco')).toEqual({
      prompt: 'a photo of',
      beams: 5,
      lengthPenalty: 1,
      maxNewTokens: 30,
      minNewTokens: 7,
    });
    expect(settingsOf('blip2', 'paper-nocaps')).toMatchObject({ maxNewTokens: 80, minNewTokens: 9 });
  });

  test.each([
    ['minigpt4-vicuna', 300, 1],
    ['minigpt4-llama2', 300, 1],
    ['tinygpt-v', 300, 1],
    ['minigpt-v2', 500, 0.6],
    ['tinygpt-v-stage4', 500, 0.6],
  ])('the demo of %s draws up to %i tokens at temperature %d', (family, maxNewTokens, temperature) => {
    expect(presetOf(family, 'demo').tasks).toEqual(['caption', 'ask', 'chat']);
    expect(settingsOf(family, 'demo')).toEqual({
      repetitionPenalty: 1.05,
      maxNewTokens,
      minNewTokens: 0,
      sampling: { temperature, topK: 50, topP: 0.9 },
    });
  });

  test('a preset for chat never has beams, which a conversation cannot show as they are written', () => {
    for (const { family } of families) {
      for (const preset of family.presets.filter(({ tasks }) => tasks.includes('chat'))) {
        expect(preset.settingsFor('decoder-only')).not.toHaveProperty('beams');
      }
    }
  });
});

function read(...presets: unknown[]): Preset[] {
  return Preset.readAll(ObjectReader.parse(JSON.stringify({ presets }), 'x.json'), 'x.json');
}

const minimal = { name: 'one', tasks: ['caption'] };

describe('a prompt file', () => {
  test('without presets has none', () => {
    expect(Preset.readAll(ObjectReader.parse('{}', 'x.json'), 'x.json')).toEqual([]);
  });

  test('settles for one kind of language model what the other leaves open', () => {
    const [preset] = read({ ...minimal, beams: 3, language: { 'encoder-decoder': { beams: 4, length_penalty: 2 } } });
    expect(preset?.settingsFor(undefined)).toEqual({ beams: 3 });
    expect(preset?.settingsFor('decoder-only')).toEqual({ beams: 3 });
    expect(preset?.settingsFor('encoder-decoder')).toEqual({ beams: 4, lengthPenalty: 2 });
  });

  test.each([
    [{ ...minimal, name: 'Two Words' }, 'presets[0].name should be words'],
    [{ ...minimal, tasks: [] }, 'presets[0].tasks should be a list'],
    [{ ...minimal, tasks: ['draw'] }, 'presets[0].tasks should be a list'],
    [{ ...minimal, beans: 5 }, 'the key presets[0].beans is not known'],
    [{ ...minimal, beams: 1 }, 'presets[0].beams should be from 2 to 64'],
    [{ ...minimal, length_penalty: 1 }, 'presets[0].beams should be a number, since a length_penalty ranks'],
    [{ ...minimal, repetition_penalty: 0 }, 'presets[0].repetition_penalty should be above 0'],
    [{ ...minimal, min_new_tokens: 9, max_new_tokens: 8 }, 'presets[0].min_new_tokens should be at most'],
    [
      { ...minimal, sampling: { temperature: 1, top_k: 50, top_p: 2 } },
      'presets[0].sampling.top_p should be at most 1',
    ],
    [{ ...minimal, beams: 2, sampling: { temperature: 1, top_k: 0, top_p: 1 } }, 'absent where there are beams'],
    [{ ...minimal, question_template: 'Q: {question}' }, 'presets.question_template should contain exactly <image>'],
    [{ ...minimal, language: { decoder: {} } }, 'the key presets[0].language.decoder is not known'],
    [{ ...minimal, language: { 'decoder-only': { x: 1 } } }, 'the key presets[0].language.decoder-only.x is not known'],
  ])('with %j is refused', (preset, message) => {
    expect(() => read(preset)).toThrow(PackError);
    expect(() => read(preset)).toThrow(message);
  });

  test('in which a name stands twice is refused', () => {
    expect(() => read(minimal, minimal)).toThrow('a list without repeated names');
  });
});
