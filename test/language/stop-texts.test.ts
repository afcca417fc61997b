import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { UsageError } from '../../src/errors.ts';
import type { StopCheck } from '../../src/language/stop-rule.ts';
import { cutAtStopText, holdsStopText } from '../../src/language/stop-texts.ts';
import { IncrementalDecoder } from '../../src/tokenizer/incremental-decoder.ts';
import { TOKENIZER_NAMES, tokenizerOf } from '../tokenizer/tokenizer-fixtures.ts';
import { endOf, plainDecoder } from './stop-rules.ts';

/** A vocabulary of pieces; a text can be written with them in several ways. */
const PIECES = ['a', 'b', 'ab', ' a', '.', '. ', '\n', '##', '#'];
const decode = (ids: readonly number[]) => ids.map((id) => PIECES[id] ?? '').join('');

/** A stop rule for those pieces. */
function stopsAt(...stopTexts: string[]) {
  const reader = { visibleToken: (id: number) => PIECES[id], decode, cleanUp: [] };
  return holdsStopText(stopTexts, () => new IncrementalDecoder(reader));
}

const ids = fc.array(fc.nat(PIECES.length - 1), { maxLength: 20 });
const stopTexts = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', ' ', '.', '#'), minLength: 1, maxLength: 4 }), {
  minLength: 1,
  maxLength: 3,
});

/** By the definition: the first token after which the text of all ids holds a stop text. */
function plainEnd(written: readonly number[], stops: readonly string[], read: (all: number[]) => string): number {
  return written.findIndex((_, index) => {
    const text = read(written.slice(0, index + 1));
    return stops.some((stop) => text.includes(stop));
  });
}

describe('a row', () => {
  test('ends exactly with the first token that completes a stop text, however it is split into tokens', () => {
    fc.assert(
      fc.property(ids, stopTexts, (written, stops) => {
        expect(endOf(stopsAt(...stops), written)).toBe(plainEnd(written, stops, decode));
      }),
      { numRuns: 500 },
    );
  });

  test('ends with a stop text that begins in one token and ends in the middle of another', () => {
    expect(endOf(stopsAt('b a'), [2, 3])).toBe(1);
  });

  test('ends with a character that needs several tokens only when it is complete', () => {
    const bytes = [...Buffer.from('ein Ü')];
    const rule = holdsStopText(['Ü'], () => plainDecoder((written) => Buffer.from(written).toString('utf8')));
    expect(endOf(rule, bytes)).toBe(bytes.length - 1);
  });

  test('has no empty stop text', () => {
    expect(() => stopsAt('.', '')).toThrow(UsageError);
  });

  test('reads as many ids for a token late in a long answer as for an early one', () => {
    let read = 0;
    const reader = {
      visibleToken: (id: number) => PIECES[id],
      decode: (all: readonly number[]) => {
        read += all.length;
        return decode(all);
      },
      cleanUp: [],
    };
    const check = holdsStopText(['never'], () => new IncrementalDecoder(reader)).start();
    const readFor = (count: number): number => {
      read = 0;
      for (let n = 0; n < count; n++) check.add(n % PIECES.length);
      return read;
    };
    const early = readFor(100);
    readFor(2000);
    expect(readFor(100)).toBeLessThanOrEqual(early + 1);
  });
});

describe.each(TOKENIZER_NAMES)('with the tokenizer %s', async (name) => {
  const tokenizer = await tokenizerOf(name);
  // What neighbours change: bytes of a character, spaces that cleaning up takes away, special tokens.
  const awkward = [' .', " n't", " 's", " ' ", 'é', '漢', '\u{1F600}', '\n', '</s>', ' a', '.'].flatMap((text) =>
    tokenizer.encode(text, { addSpecialTokens: true }),
  );
  const id = fc.oneof(fc.constantFrom(...awkward), fc.nat(tokenizer.tokenCount + 2));
  const row = fc.array(id, { minLength: 1, maxLength: 25 });
  /** A part of what the row reads like at some time, or of what it never does. */
  const place = fc.record({ at: fc.nat(24), from: fc.nat(60), length: fc.integer({ min: 1, max: 5 }) });
  const places = fc.array(place, { minLength: 1, maxLength: 3 });

  function stopsIn(written: readonly number[], chosen: readonly { at: number; from: number; length: number }[]) {
    return chosen.map(({ at, from, length }) => {
      const text = tokenizer.decode(written.slice(0, at + 1));
      return text.slice(from % (text.length + 1)).slice(0, length) || 'never';
    });
  }

  test('a row ends where decoding all of its ids after each token ends it', () => {
    fc.assert(
      fc.property(row, places, (written, chosen) => {
        const stops = stopsIn(written, chosen);
        const rule = holdsStopText(stops, () => tokenizer.startDecoding());
        expect(endOf(rule, written)).toBe(plainEnd(written, stops, (all) => tokenizer.decode(all)));
      }),
      { numRuns: 150 },
    );
  });

  test('rows that part from each other end where each of them ends alone', () => {
    fc.assert(
      fc.property(row, row, row, places, (shared, left, right, chosen) => {
        const stops = stopsIn([...shared, ...right], chosen);
        const check = holdsStopText(stops, () => tokenizer.startDecoding()).start();
        const first = shared.findIndex((one) => check.add(one));
        const endFrom = (beam: StopCheck, rest: readonly number[]): number => {
          const index = rest.findIndex((one) => beam.add(one));
          return index < 0 ? -1 : shared.length + index;
        };
        fc.pre(first < 0);
        const other = check.fork();
        // The one that goes on first must leave no trace in the other.
        expect(endFrom(check, left)).toBe(plainEnd([...shared, ...left], stops, (all) => tokenizer.decode(all)));
        expect(endFrom(other, right)).toBe(plainEnd([...shared, ...right], stops, (all) => tokenizer.decode(all)));
      }),
      { numRuns: 80 },
    );
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
