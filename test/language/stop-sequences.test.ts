import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { PackError } from '../../src/errors.ts';
import { endsWithSequence, stopSequences } from '../../src/language/stop-sequences.ts';
import { loadPromptFamily } from '../../src/prompt/prompt-family.ts';
import { endOf } from './stop-rules.ts';

type Reference = {
  conversations: {
    stopSequences: number[][];
    eosTokenId: number;
    turns: { ids: number[]; stoppedBy: 'stop_sequence' | 'eos' | 'length' }[];
  }[];
};

const FILE = new URL('../fixtures/prompts/references.json', import.meta.url);
const references = JSON.parse(await readFile(FILE, 'utf8')) as Record<string, Reference>;

/** Few different ids, so that sequences are met often and overlap. */
const ids = fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 12 });
const sequences = fc.array(fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 3 }), { maxLength: 3 });

describe('a row', () => {
  test('ends exactly at the first place where the ids written so far end with a sequence', () => {
    fc.assert(
      fc.property(ids, sequences, (written, stops) => {
        const check = endsWithSequence(stops).start();
        const ended = written.map((id) => check.add(id));
        // Commas on both sides make a search in text a search for whole ids.
        const expected = written.map((_, index) => {
          const text = `,${written.slice(0, index + 1).join(',')},`;
          return stops.some((stop) => text.endsWith(`,${stop.join(',')},`));
        });
        expect(ended).toEqual(expected);
      }),
    );
  });

  test('never ends before it has as many ids as the sequence, and never without sequences', () => {
    expect(endOf(endsWithSequence([[1, 1]]), [1])).toBe(-1);
    expect(endOf(endsWithSequence([]), [1, 2, 3])).toBe(-1);
  });

  test('that parts from another one keeps what both have written, and nothing else', () => {
    const check = endsWithSequence([[1, 2, 3]]).start();
    check.add(1);
    const other = check.fork();
    expect([3, 2, 3].map((id) => other.add(id))).toEqual([false, false, false]);
    expect([2, 3].map((id) => check.add(id))).toEqual([false, true]);
  });

  const turns = Object.entries(references).flatMap(([family, { conversations }]) =>
    conversations.flatMap(({ stopSequences: stops, eosTokenId, turns: spoken }) =>
      spoken.map((turn) => ({ family, stops, eosTokenId, ...turn })),
    ),
  );

  test.each(turns)(
    'of $family ends where the reference ended by $stoppedBy',
    ({ stops, eosTokenId, ids: written, stoppedBy }) => {
      const rule = endsWithSequence([...stops, [eosTokenId]]);
      expect(endOf(rule, written)).toBe(stoppedBy === 'length' ? -1 : written.length - 1);
    },
  );
});

describe('the stop sequences of a pack', () => {
  const vocabulary = new Map([
    ['▁###', 300],
    ['##', 264],
    ['#', 540],
  ]);
  const tokenId = (token: string) => vocabulary.get(token);

  test('are the ids of the tokens of its family', async () => {
    const { stopTokens } = await loadPromptFamily('minigpt4-vicuna');
    expect(stopSequences(stopTokens, tokenId, 'tokenizer.json')).toEqual([[300], [264, 540]]);
    expect(references['minigpt4-vicuna']?.conversations[0]?.stopSequences).toEqual([[300], [264, 540]]);
  });

  test('leave out what the vocabulary cannot write, as long as one can be written', () => {
    expect(stopSequences([['####'], ['##', '#']], tokenId, 'tokenizer.json')).toEqual([[264, 540]]);
    expect(stopSequences([['##', '####'], ['#']], tokenId, 'tokenizer.json')).toEqual([[540]]);
  });

  test('are refused when none can be written, with their tokens and the file in the message', () => {
    let error: unknown;
    try {
      stopSequences([['####'], ['##', '…']], tokenId, '/packs/a/tokenizer.json');
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(PackError);
    expect(error).toMatchObject({
      path: '/packs/a/tokenizer.json',
      message: expect.stringContaining('its vocabulary has no "####" or "##" + "…"') as string,
    });
  });

  test('are none where the family has none', () => {
    expect(stopSequences([], tokenId, 'tokenizer.json')).toEqual([]);
  });
});
