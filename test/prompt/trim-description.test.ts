import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { trimDescription } from '../../src/prompt/trim-description.ts';

const DOG = 'A dog runs through the snow.';
const SKY = 'The sky is grey!';

describe('of a description', () => {
  test.each([
    ['a sentence that stands there already goes', `${DOG} ${SKY} ${DOG}`, `${DOG} ${SKY}`],
    ['sentences said over and over go', `${DOG} ${SKY} ${DOG} ${SKY} ${DOG}`, `${DOG} ${SKY}`],
    ['a sentence after a repeated one stays, in its place', `${DOG} ${DOG} ${SKY}`, `${DOG} ${SKY}`],
    [
      'sentences in quotes, and Chinese ones, are told apart',
      '“So it is.” 狗在雪中。狗在雪中。',
      '“So it is.” 狗在雪中。',
    ],
    ['a number with a point is no end', 'It is 3.5 m long. It is 3.5 m wide.', 'It is 3.5 m long. It is 3.5 m wide.'],
    [
      'an abbreviation is no end',
      'Mr. J. Smith sits. He sees Dr. Who. Mr. J. Jones stands. He sees Dr. No.',
      'Mr. J. Smith sits. He sees Dr. Who. Mr. J. Jones stands. He sees Dr. No.',
    ],
    ['line breaks between sentences stay', `${DOG}\n\n${SKY}`, `${DOG}\n\n${SKY}`],
    ['words said over and over at an open end stand once', 'a cat on a mat on a mat on a mat', 'a cat on a mat'],
    [
      'a loop that breaks off within its words goes as well',
      'a red, a blue, a red, a blue, a red, a blue, a',
      'a red, a blue,',
    ],
    ['words that stand twice stay', 'a cat on a mat on a mat', 'a cat on a mat on a mat'],
    ['nothing is left of nothing', '', ''],
  ])('%s', (_, text, trimmed) => {
    expect(trimDescription(text, false)).toBe(trimmed);
  });

  test('the last sentence goes where the length limit cut it off', () => {
    expect(trimDescription(`${DOG} ${SKY} In the backgr`, true)).toBe(`${DOG} ${SKY}`);
    expect(trimDescription(`${DOG} ${SKY}`, true)).toBe(`${DOG} ${SKY}`);
  });

  test('the last sentence stays where it is the only one, or where the model ended it so', () => {
    expect(trimDescription('A dog runs through the', true)).toBe('A dog runs through the');
    expect(trimDescription(`${DOG} In the background`, false)).toBe(`${DOG} In the background`);
  });
});

describe('whatever the text', () => {
  const word = fc.constantFrom('a', 'dog', 'on', 'mat', '3.5', 'it.', 'Mr.', 'J.', '"no!"', '。', '…', 'x)', ',', '\n');
  const text = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.array(word, { maxLength: 40 }).map((words) => words.join(' ')),
  );

  test('trimming it again changes nothing, and it never grows', () => {
    fc.assert(
      fc.property(text, fc.boolean(), (given, isCutOff) => {
        const trimmed = trimDescription(given, isCutOff);
        expect(trimDescription(trimmed, isCutOff)).toBe(trimmed);
        expect(trimmed.length).toBeLessThanOrEqual(given.length);
      }),
      { numRuns: 2000 },
    );
  });

  test('what is left are sentences of it, in their order and each once', () => {
    const sentence = fc.array(fc.constantFrom('a', 'dog', 'cat', 'runs'), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.array(sentence, { maxLength: 12 }), fc.boolean(), (given, isCutOff) => {
        const sentences = given.map((words) => `${words.join(' ')}.`);
        expect(trimDescription(sentences.join(' '), isCutOff)).toBe([...new Set(sentences)].join(' '));
      }),
    );
  });

  test('a text without repetition and with its full stop is as it was', () => {
    const sentence = fc.integer({ min: 0, max: 9 }).map((count) => `Here are ${count} dogs${'.!?'.charAt(count % 3)}`);
    fc.assert(
      fc.property(fc.uniqueArray(sentence, { minLength: 1 }), fc.boolean(), (sentences, isCutOff) => {
        expect(trimDescription(sentences.join(' '), isCutOff)).toBe(sentences.join(' '));
      }),
    );
  });
});
