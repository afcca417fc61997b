import { describe, expect, test } from 'vitest';
import {
  chooseFormat,
  chooseModel,
  chooseOutput,
  chooseProgress,
  resolveSettings,
  type RunOptions,
} from '../../../src/cli/options/settings.ts';
import { wholeNumber } from '../../../src/cli/options/numbers.ts';
import type { Settings } from '../../../src/pipeline/settings.ts';
import { answer, FakeModel } from '../../pipeline/fake-model.ts';

const { pack, prompts } = new FakeModel(1, () => answer(''));
const caption = { kind: 'caption', prompt: undefined } as const;
const ask = { kind: 'ask', questions: ['Who?', 'Where?'] } as const;
const options: RunOptions = {
  recursive: true,
  maxPixels: 1000,
  decodeTimeout: 20,
  batchSize: 'auto',
  progress: 'auto',
};

describe('the format', () => {
  test('is text on a terminal and JSON Lines in a pipe', () => {
    expect(chooseFormat(options, true)).toBe('text');
    expect(chooseFormat(options, false)).toBe('jsonl');
  });

  test('follows the ending of the file, and --format before it', () => {
    expect(chooseFormat({ ...options, output: 'x.csv' }, true)).toBe('csv');
    expect(chooseFormat({ ...options, output: 'x.csv', format: 'jsonl' }, true)).toBe('jsonl');
  });

  test('of an output called "-" is that of standard output', () => {
    expect(chooseOutput({ ...options, output: '-' })).toBeUndefined();
    expect(chooseFormat({ ...options, output: '-' }, false)).toBe('jsonl');
  });

  test('is asked for where the ending says nothing', () => {
    expect(() => chooseFormat({ ...options, output: 'x.json' }, true)).toThrow(
      '--output x.json: the ending does not say which format to write. Use .jsonl, .csv or .txt, or add --format.',
    );
  });
});

describe('progress', () => {
  test('is a bar on a terminal, else lines', () => {
    expect(chooseProgress(options, true, {})).toBe('bar');
    expect(chooseProgress(options, true, { TERM: 'dumb' })).toBe('plain');
    expect(chooseProgress(options, false, {})).toBe('plain');
  });

  test('--quiet wins', () => {
    expect(chooseProgress({ ...options, quiet: true, progress: 'plain' }, true, {})).toBe('none');
  });

  test('a bar without a terminal is refused', () => {
    expect(() => chooseProgress({ ...options, progress: 'bar' }, false, {})).toThrow('stderr is not a terminal');
  });
});

test('the model is that of the flag, of the variable, or nano', () => {
  expect(chooseModel({ ...options, model: 'a' }, { MINIGPT_MODEL: 'b' })).toBe('a');
  expect(chooseModel(options, { MINIGPT_MODEL: 'b' })).toBe('b');
  expect(chooseModel(options, { MINIGPT_MODEL: '' })).toBe('nano');
  expect(chooseModel(options, {})).toBe('nano');
});

function resolve(changes: Partial<RunOptions>): Settings {
  return resolveSettings(caption, { ...options, ...changes }, prompts, pack.declaration);
}

describe('lengths', () => {
  test('come from the prompt family where none are given', () => {
    expect(resolve({})).toMatchObject({ decoding: { maxNewTokens: 30, minNewTokens: 0 } });
    expect(resolveSettings(ask, options, prompts, pack.declaration)).toMatchObject({ decoding: { maxNewTokens: 10 } });
  });

  test('that contradict each other are refused', () => {
    expect(() => resolve({ minNewTokens: 9, maxNewTokens: 8 })).toThrow(
      '--min-new-tokens 9 is more than --max-new-tokens 8.',
    );
    expect(() => resolve({ minNewTokens: 31 })).toThrow('more than --max-new-tokens 30 (the default of the model)');
    expect(resolve({ minNewTokens: 8, maxNewTokens: 8 })).toMatchObject({
      decoding: { maxNewTokens: 8, minNewTokens: 8 },
    });
  });

  test('that the model cannot hold are refused', () => {
    expect(resolve({ maxNewTokens: 60 })).toMatchObject({ decoding: { maxNewTokens: 60 } });
    expect(() => resolve({ maxNewTokens: 61 })).toThrow('has room for 60 tokens');
  });
});

describe('whole numbers', () => {
  test.each(['0', '-1', '1.5', '1e3', 'abc', '', ' 1', '99999999999999999999'])('%j is refused', (value) => {
    expect(() => wholeNumber(1)(value)).toThrow('It should be a whole number of at least 1.');
  });

  test('the range is part of the message', () => {
    expect(wholeNumber(1, 8)('8')).toBe(8);
    expect(() => wholeNumber(1, 8)('9')).toThrow('It should be a whole number from 1 to 8.');
  });
});
