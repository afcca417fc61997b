import { describe, expect, test } from 'vitest';
import { resolveDecoding } from '../../../src/cli/options/decoding.ts';
import { choosePreset, describeSettings } from '../../../src/cli/options/preset.ts';
import { loadPromptFamily } from '../../../src/prompt/prompt-family.ts';

const greedy = { repetitionPenalty: 1, noRepeatNgram: 0, stopTexts: [] };
const beams = { beams: 5, lengthPenalty: -1 };
const sampling = { sampling: { temperature: 0.6, topK: 50, topP: 0.9 }, repetitionPenalty: 1.05 };

describe('decoding', () => {
  test('is greedy where nothing is said', () => {
    expect(resolveDecoding({})).toEqual(greedy);
  });

  test('is what the preset says', () => {
    expect(resolveDecoding({}, beams).search).toEqual({ kind: 'beams', beams: 5, lengthPenalty: -1 });
    expect(resolveDecoding({}, sampling)).toEqual({
      ...greedy,
      repetitionPenalty: 1.05,
      search: { kind: 'sampling', temperature: 0.6, topK: 50, topP: 0.9, seed: 0 },
    });
  });

  test('takes each option before what the preset says', () => {
    expect(resolveDecoding({ lengthPenalty: 2 }, beams).search).toEqual({ kind: 'beams', beams: 5, lengthPenalty: 2 });
    expect(resolveDecoding({ beams: 2 }, beams).search).toEqual({ kind: 'beams', beams: 2, lengthPenalty: -1 });
    expect(resolveDecoding({ seed: 7, topK: 0 }, sampling).search).toEqual({
      kind: 'sampling',
      temperature: 0.6,
      topK: 0,
      topP: 0.9,
      seed: 7,
    });
    expect(resolveDecoding({ repetitionPenalty: 1, noRepeatNgram: 3 }, sampling)).toMatchObject({
      repetitionPenalty: 1,
      noRepeatNgram: 3,
    });
  });

  test('takes another way of searching before that of the preset', () => {
    expect(resolveDecoding({ beams: 1 }, beams)).toEqual(greedy);
    expect(resolveDecoding({ sample: true }, beams).search).toMatchObject({ kind: 'sampling', temperature: 1 });
    expect(resolveDecoding({ beams: 3 }, sampling).search).toEqual({ kind: 'beams', beams: 3, lengthPenalty: 1 });
    expect(resolveDecoding({ beams: 1 }, sampling)).toEqual({ ...greedy, repetitionPenalty: 1.05 });
  });

  test.each([
    [{ beams: 2, sample: true }, {}, '--beams 2 and --sample cannot be used together'],
    [{ lengthPenalty: 1 }, {}, '--length-penalty 1 has no effect without beam search'],
    [{ lengthPenalty: 1 }, sampling, '--length-penalty 1 has no effect without beam search'],
    [{ lengthPenalty: 1, sample: true }, beams, '--length-penalty 1 has no effect without beam search'],
    [{ seed: 1 }, {}, '--seed 1 has no effect without sampling'],
    [{ topP: 0.5 }, beams, '--top-p 0.5 has no effect without sampling'],
    [{ temperature: 2, beams: 2 }, sampling, '--temperature 2 has no effect without sampling'],
  ])('refuses %j beside %j', (options, preset, message) => {
    expect(() => resolveDecoding(options, preset)).toThrow(message);
  });
});

describe('a preset', async () => {
  const { presets } = await loadPromptFamily('blip2');
  const language = { kind: 'encoder-decoder' } as const;
  const choose = (name: string | undefined, task: 'caption' | 'ask' | 'chat') =>
    choosePreset(name, task, presets, { id: 'flan', language: { ...LANGUAGE, ...language } });

  test('that nobody asks for changes nothing', () => {
    expect(choose(undefined, 'caption')).toEqual({});
  });

  test('has the settings of the language model', () => {
    expect(describeSettings(choose('paper-vqa', 'ask'))).toBe(
      'question "<image>Question: {question} Short answer:", 5 beams, length penalty -1, at most 10 tokens',
    );
  });

  test('of an unknown name is refused with those there are', () => {
    expect(() => choose('vqa', 'ask')).toThrow(
      '--preset vqa: the model flan has no preset with this name. Its presets for ask are lavis-vqa, paper-vqa.',
    );
  });

  test('of another task is refused with those of this one', () => {
    expect(() => choose('paper-vqa', 'caption')).toThrow(
      '--preset paper-vqa: this preset is for ask, not for caption. Its presets for caption are lavis-caption, lavis-coco, paper-coco, paper-nocaps.',
    );
    expect(() => choose('paper-vqa', 'chat')).toThrow('It has no presets for chat.');
  });
});

const LANGUAGE = {
  hiddenSize: 8,
  numHiddenLayers: 1,
  numAttentionHeads: 1,
  numKeyValueHeads: 1,
  headDim: 8,
  vocabSize: 10,
  maxPositionEmbeddings: 64,
  eosTokenIds: [1],
  decoderStartTokenId: 0,
};
