import { expect, test } from 'vitest';
import { required } from '../src/required.ts';

test('a value that is there is given back, also where it counts as false', () => {
  for (const value of [0, '', false, null, NaN]) expect(required(value, 'a value')).toBe(value);
});

test('a value that is missing is named', () => {
  expect(() => required(undefined, 'the image tokens of prompt 2')).toThrow(
    'the image tokens of prompt 2 should be there, and is missing',
  );
});
