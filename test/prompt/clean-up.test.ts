import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { PackError } from '../../src/errors.ts';
import { ObjectReader } from '../../src/pack/object-reader.ts';
import { CleanUp } from '../../src/prompt/clean-up.ts';
import { loadPromptFamily } from '../../src/prompt/prompt-family.ts';

function cleanUp(...steps: unknown[]): CleanUp {
  return CleanUp.read(ObjectReader.parse(JSON.stringify({ steps }), 'x.json'), 'steps');
}

describe('a step', () => {
  test.each([
    ['before_first', 'a###b###c', 'a'],
    ['before_first', 'a## #b', 'a## #b'],
    ['before_first', '###a', ''],
    ['after_last', 'a###b###c', 'c'],
    ['after_last', 'a', 'a'],
    ['after_last', 'a###', ''],
    ['all_but', 'a###b###c', 'abc'],
  ])('that keeps %s of ### makes %j into %j', (keep, text, expected) => {
    expect(cleanUp({ keep, mark: '###' }).apply(text)).toBe(expected);
  });

  test('takes its mark literally, whatever it is', () => {
    expect(cleanUp({ keep: 'all_but', mark: '.*' }).apply('a.*b$&')).toBe('ab$&');
  });

  test.each([
    ['of an unknown kind', { keep: 'nothing', mark: '#' }, /steps\[0\]\.keep should be one of/],
    ['without a mark', { keep: 'all_but' }, /steps\[0\]\.mark should be a string/],
    ['with an empty mark', { keep: 'all_but', mark: '' }, /steps\[0\]\.mark should be a text/],
    ['with another key', { keep: 'all_but', mark: '#', times: 1 }, /steps\[0\]\.times is not known/],
  ])('%s is refused', (_, step, message) => {
    expect(() => cleanUp(step)).toThrow(message);
    expect(() => cleanUp(step)).toThrow(PackError);
  });
});

test('steps follow each other, and white space goes last', () => {
  const steps = [
    { keep: 'before_first', mark: '###' },
    { keep: 'after_last', mark: 'Assistant:' },
  ];
  expect(cleanUp(...steps).apply('Assistant: a\nAssistant: b \n###Assistant: c')).toBe('b');
});

test('answers lose the white space that Python would strip, and no other', () => {
  expect(cleanUp().apply('\u{1c} \n a dog  runs\u{3000}\u{85}\t')).toBe('a dog  runs');
  expect(cleanUp().apply('\u{feff}a dog\u{200b}')).toBe('\u{feff}a dog\u{200b}');
});

describe('the chat of MiniGPT-4', async () => {
  const family = await loadPromptFamily('minigpt4-vicuna');
  const piece = fc.oneof(fc.string(), fc.constantFrom('###', '#', 'Assistant:', 'Human:', ' ', '</s>', '[/INST]'));
  const text = fc.array(piece).map((pieces) => pieces.join(''));

  test('never leaves a mark in an answer, and cleaning it up again changes nothing', () => {
    fc.assert(
      fc.property(text, (decoded) => {
        const answer = family.cleanUp(decoded);
        expect(answer).not.toMatch(/###|Assistant:/);
        expect(decoded).toContain(answer);
        expect(family.cleanUp(answer)).toBe(answer);
      }),
    );
  });

  test('its batch generate cuts at </s>, drops <s> and keeps what follows the last [/INST]', () => {
    expect(family.cleanUpGenerated('[INST] a [/INST]<s> b [/INST] c<s>d ###</s> [/INST] e')).toBe('cd ###');
  });
});

describe('the beginning of a text that is still being decoded', () => {
  test.each([
    ['before_first', 'a dog#', 'a dog'],
    ['before_first', 'a dog ##', 'a dog'],
    ['before_first', 'a dog ###Hu', 'a dog'],
    ['before_first', 'a dog ', 'a dog'],
    ['before_first', 'a #dog', 'a #dog'],
    ['all_but', 'a####', 'a'],
    ['after_last', 'a###b#', 'b#'],
  ])('with a step that keeps %s of ###: %j surely begins the answer with %j', (keep, text, expected) => {
    expect(cleanUp({ keep, mark: '###' }).applyToBeginning(text)).toBe(expected);
  });

  test('is never taken back, whatever follows', () => {
    const text = fc.array(fc.constantFrom('a', 'b', ' ', '\n'), { maxLength: 10 }).map((letters) => letters.join(''));
    const mark = text.filter((letters) => letters !== '');
    const steps = fc.array(fc.record({ keep: fc.constantFrom('before_first', 'all_but'), mark }), { maxLength: 3 });
    fc.assert(
      fc.property(steps, text, text, (list, begun, rest) => {
        const cleaning = cleanUp(...list);
        const beginning = cleaning.applyToBeginning(begun);
        expect(cleaning.apply(begun + rest).slice(0, beginning.length)).toBe(beginning);
      }),
      { numRuns: 2000 },
    );
  });
});
