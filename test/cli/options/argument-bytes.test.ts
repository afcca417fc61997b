import { expect, test } from 'vitest';
import { matchArguments, restoreBytes } from '../../../src/cli/options/argument-bytes.ts';

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

test('a name that is not UTF-8 is found among the arguments, in order where two read alike', () => {
  const given = ['node', 'minigpt.js', 'caption', 'a.jpg', 'caf\xE9.jpg', '--quiet', 'caf\xE8.jpg'].map(latin1);
  const paths = ['a.jpg', 'caf\uFFFD.jpg', 'caf\uFFFD.jpg', 'other\uFFFD.jpg'];
  expect(matchArguments(paths, given)).toEqual([
    'a.jpg',
    latin1('caf\xE9.jpg'),
    latin1('caf\xE8.jpg'),
    'other\uFFFD.jpg',
  ]);
});

test('other names are taken as they are', async () => {
  expect(await restoreBytes(['a.jpg', 'ü.jpg'])).toEqual(['a.jpg', 'ü.jpg']);
});
