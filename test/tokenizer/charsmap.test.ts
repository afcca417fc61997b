import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Charsmap } from '../../src/tokenizer/charsmap.ts';
import { TOKENIZERS } from './tokenizer-fixtures.ts';

const published = JSON.parse(
  gunzipSync(readFileSync(join(TOKENIZERS, 'blip2-flan-t5-xl', 'tokenizer.json.gz'))).toString(),
) as {
  normalizer: { normalizers: [{ precompiled_charsmap: string }] };
};
const base64 = published.normalizer.normalizers[0].precompiled_charsmap;
const charsmap = new Charsmap(base64);

describe('the character map of Flan-T5', () => {
  test.each([
    ['', ''],
    ['A plain prompt: 3 cats?', 'A plain prompt: 3 cats?'],
    ['ﬁ ½ Ⅷ ㍿ ＡＢＣ', 'fi 1⁄2 VIII 株式会社 ABC'],
    ['tab\there\r\nnext\u00A0end', 'tab here next end'],
    ['\u0001\u007F\u200Bcontrol', ' control'],
    ['e\u0301', 'é'],
    // The rest of a short cluster is lost with its first key, so it is in the reference.
    ['ﬁ\u0301x', 'fix'],
    ['x\u0323\u0307', 'x\u0323\u0307'],
    ['👩‍👩‍👧 🇩🇪', '👩 👩 👧 🇩🇪'],
  ])('turns %j into %j', (text, normalized) => {
    expect(charsmap.normalize(text)).toBe(normalized);
  });

  test('maps plain text in the same way alone and before other characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary-ascii' }), (text) => {
        // A character beyond ASCII makes the text take the other way through grapheme clusters.
        expect(charsmap.normalize(`${text}\n日`)).toBe(`${charsmap.normalize(`${text}\n`)}日`);
      }),
    );
  });
});

describe('a damaged character map', () => {
  test.each([undefined, null, '', 'AAA=', 'AAAAAA==', base64.slice(0, 1000)])('is refused: %j', (value) => {
    expect(() => new Charsmap(value)).toThrow('precompiled_charsmap');
  });

  test('never reads outside of itself', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 64 }), fc.string({ unit: 'binary' }), (bytes, text) => {
        const damaged = Buffer.concat([Buffer.from([8, 0, 0, 0]), bytes]);
        expect(typeof new Charsmap(damaged.toString('base64')).normalize(text)).toBe('string');
      }),
    );
  });
});
