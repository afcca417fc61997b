import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { UsageError } from '../../src/errors.ts';
import { cutAtStopText, holdsStopText } from '../../src/language/stop-texts.ts';

/** A vocabulary of pieces; a text can be written with them in several ways. */
const PIECES = ['a', 'b', 'ab', ' a', '.', '. ', '\n', '##', '#'];
const decode = (ids: readonly number[]) => ids.map((id) => PIECES[id] ?? '').join('');

const ids = fc.array(fc.nat(PIECES.length - 1), { maxLength: 20 });
const stopTexts = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', ' ', '.', '#'), minLength: 1, maxLength: 4 }), {
  minLength: 1,
  maxLength: 3,
});

describe('a row', () => {
  test('ends exactly with the first token that completes a stop text, however it is split into tokens', () => {
    fc.assert(
      fc.property(ids, stopTexts, (written, stops) => {
        const rule = holdsStopText(stops, decode);
        const firstEnd = written.findIndex((_, index) => rule(written.slice(0, index + 1)));
        const complete = firstEnd < 0 ? written : written.slice(0, firstEnd);
        // Up to there the text holds no stop, and one token later it does.
        expect(stops.some((stop) => decode(complete).includes(stop))).toBe(false);
        if (firstEnd >= 0) {
          expect(stops.some((stop) => decode(written.slice(0, firstEnd + 1)).includes(stop))).toBe(true);
        }
      }),
    );
  });

  test('ends with a stop text that begins in one token and ends in the middle of another', () => {
    const rule = holdsStopText(['b a'], decode);
    expect(rule([2])).toBe(false);
    expect(rule([2, 3])).toBe(true);
  });

  test('ends with a character that needs several tokens only when it is complete', () => {
    const bytes = [...Buffer.from('ein Ü')];
    const rule = holdsStopText(['Ü'], (written) => Buffer.from(written).toString('utf8'));
    expect(rule(bytes.slice(0, -1))).toBe(false);
    expect(rule(bytes)).toBe(true);
  });

  test('has no empty stop text', () => {
    expect(() => holdsStopText(['.', ''], decode)).toThrow(UsageError);
  });
});

describe('an answer', () => {
  test('is cut in front of the stop text that comes first', () => {
    expect(cutAtStopText('a dog. A cat\n', ['\n', '.', 'cat'])).toBe('a dog');
    expect(cutAtStopText('a dog', ['.'])).toBe('a dog');
    expect(cutAtStopText('a dog', [])).toBe('a dog');
    expect(cutAtStopText('.', ['.'])).toBe('');
  });

  test('is the longest beginning of the text that holds no stop text and is followed by one', () => {
    fc.assert(
      fc.property(ids, stopTexts, (written, stops) => {
        const text = decode(written);
        const answer = cutAtStopText(text, stops);
        const rest = text.slice(answer.length);
        expect(answer + rest).toBe(text);
        expect(stops.some((stop) => answer.includes(stop))).toBe(false);
        expect(rest === '' || stops.some((stop) => rest.startsWith(stop))).toBe(true);
      }),
    );
  });
});
