import { describe, expect, test } from 'vitest';
import {
  describeConfig,
  familyOfConfig,
  isWholeModelType,
  knownWholeModels,
} from '../../../src/importer/families/whole-models.ts';
import { ObjectReader } from '../../../src/pack/object-reader.ts';

const config = (json: object): ObjectReader => ObjectReader.parse(JSON.stringify(json), 'config.json');
const withText = (modelType: string, textType: string): object => ({
  model_type: modelType,
  text_config: { model_type: textType },
});

describe('a config.json', () => {
  test.each([
    ['blip2-opt', withText('blip-2', 'opt')],
    ['blip2-t5', withText('blip-2', 't5')],
    ['instructblip-t5', withText('instructblip', 't5')],
    ['instructblip-vicuna', withText('instructblip', 'llama')],
    ['blip2-itm', { ...withText('blip-2', 'opt'), architectures: ['Blip2ForImageTextRetrieval'] }],
    ['blip2-opt', { ...withText('blip-2', 'opt'), architectures: ['Blip2ForConditionalGeneration'] }],
    // The classes leave out what equals their defaults.
    ['blip2-opt', { model_type: 'blip-2', text_config: {} }],
    ['blip2-opt', { model_type: 'blip-2' }],
  ])('describes %s: %j', (family, json) => {
    expect(familyOfConfig(config(json))).toBe(family);
  });

  test.each([
    ['blip-2 with bloom', withText('blip-2', 'bloom')],
    ['blip-2 with llama', withText('blip-2', 'llama')],
    ['instructblip', { model_type: 'instructblip' }],
    ['llama', { model_type: 'llama' }],
    ['no model_type', {}],
  ])('describes none of ours but %s', (description, json) => {
    expect(familyOfConfig(config(json))).toBeUndefined();
    expect(describeConfig(config(json))).toBe(description);
  });
});

test('the known whole models are told with their language models', () => {
  expect(knownWholeModels()).toBe('blip-2 (with opt or t5) and instructblip (with t5 or llama)');
  expect(['blip-2', 'instructblip', 'opt'].map(isWholeModelType)).toEqual([true, true, false]);
});
