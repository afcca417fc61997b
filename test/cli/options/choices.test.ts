import { stringify } from 'csv-stringify/sync';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseChoices, resolveChoices } from '../../../src/cli/options/choices.ts';
import { UsageError } from '../../../src/errors.ts';

const AUTO = { batchSize: 'auto' } as const;

describe('a list of choices', () => {
  test.each([
    ['yes,no', ['yes', 'no']],
    [' a dog , two cats ', ['a dog', 'two cats']],
    ['"red, green",blue', ['red, green', 'blue']],
    ['"he said ""no""", "yes" ', ['he said "no"', 'yes']],
    ['5" disk,7" disk', ['5" disk', '7" disk']],
    ['yes', ['yes']],
    ['a,,b', ['a', '', 'b']],
    ['a,', ['a', '']],
    ['', ['']],
    ['"",x', ['', 'x']],
    ['猫,犬', ['猫', '犬']],
  ])('%j is %j', (list, choices) => {
    expect(parseChoices(list)).toEqual(choices);
  });

  test('reads back what a writer of CSV wrote', () => {
    const choice = fc.string({ unit: fc.constantFrom('a', ',', '"', ' ', '\n', 'é', '猫') });
    fc.assert(
      fc.property(fc.array(choice, { minLength: 1, maxLength: 6 }), (choices) => {
        const list = stringify([choices], { quoted: true, eof: false });
        expect(parseChoices(list)).toEqual(choices.map((one) => one.trim()));
      }),
    );
  });

  test.each(['"yes', 'no,"yes', '"yes" or,no', '"yes""'])('%j is refused for its quotes', (list) => {
    expect(() => parseChoices(list)).toThrow(/--choices: wrong quotes in .*\. Put the quotes around a whole choice/);
  });
});

describe('the choices of a command', () => {
  test('are those of all lists, in their order', () => {
    expect(resolveChoices({ ...AUTO, choices: ['a,b', 'c'] })).toEqual(['a', 'b', 'c']);
    expect(resolveChoices({ ...AUTO, yesNo: true, scores: true })).toEqual(['yes', 'no']);
    expect(resolveChoices(AUTO)).toBeUndefined();
  });

  test('that differ in case are different', () => {
    expect(resolveChoices({ ...AUTO, choices: ['Yes,yes'] })).toEqual(['Yes', 'yes']);
  });

  test.each([
    [{ choices: ['yes'] }, '--choices: "yes" is the only choice. Give at least two.'],
    [{ choices: ['a,b', 'b'] }, '--choices: "b" is given twice. Leave one out.'],
    [{ choices: ['a, a '] }, '--choices: "a" is given twice.'],
    [{ choices: ['a,,b'] }, '--choices: a choice is empty.'],
    [{ choices: ['yes,no'], yesNo: true }, '--yes-no means --choices yes,no, so the two cannot be used together.'],
    [{ scores: true }, '--scores has no effect without choices. Add --choices or --yes-no.'],
  ])('%j is refused', (options, message) => {
    const run = (): unknown => resolveChoices({ ...AUTO, ...options });
    expect(run).toThrow(UsageError);
    expect(run).toThrow(message);
  });

  test.each([
    [{ maxNewTokens: 5 }, '--max-new-tokens'],
    [{ minNewTokens: 0 }, '--min-new-tokens'],
    [{ beams: 1 }, '--beams'],
    [{ lengthPenalty: 0 }, '--length-penalty'],
    [{ repetitionPenalty: 1 }, '--repetition-penalty'],
    [{ noRepeatNgram: 0 }, '--no-repeat-ngram'],
    [{ sample: true }, '--sample'],
    [{ temperature: 1 }, '--temperature'],
    [{ topK: 0 }, '--top-k'],
    [{ topP: 1 }, '--top-p'],
    [{ seed: 0 }, '--seed'],
    [{ stop: ['x'] }, '--stop'],
  ])('beside %j are refused: it would have no effect', (options, flag) => {
    expect(() => resolveChoices({ ...AUTO, yesNo: true, ...options })).toThrow(
      `${flag} has no effect with --yes-no: the model chooses an answer and does not write one. Leave one of the two out.`,
    );
    expect(resolveChoices({ ...AUTO, ...options })).toBeUndefined();
  });
});
