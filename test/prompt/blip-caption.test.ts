import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { processCaption } from '../../src/prompt/blip-caption.ts';

const GOLDEN = join(import.meta.dirname, '../fixtures/lavis-blip2-qformer/golden.json');

test('texts become what the reference makes of them', () => {
  const { texts } = JSON.parse(readFileSync(GOLDEN, 'utf8')) as { texts: { text: string; processed: string }[] };
  expect(texts).toHaveLength(3);
  for (const { text, processed } of texts) expect(processCaption(text)).toBe(processed);
});

test.each([
  ['A Dog', 'a dog'],
  ['.!"()*#:;~', ''],
  ["it's 5,000 - really?", "it's 5,000 - really?"],
  [' two\t\tdogs \n\n', 'two dogs'],
  ['one\ndog', 'one\ndog'],
])('%j is read as %j', (text, processed) => {
  expect(processCaption(text)).toBe(processed);
});

test('of a long text the first fifty words are left', () => {
  fc.assert(
    fc.property(fc.array(fc.stringMatching(/^[a-z]+$/), { minLength: 1, maxLength: 80 }), (words) => {
      expect(processCaption(words.join(' '))).toBe(words.slice(0, 50).join(' '));
    }),
  );
});
