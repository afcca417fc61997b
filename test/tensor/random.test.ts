import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { hashWords, Random } from '../../src/tensor/random.ts';

test('a seed gives the same numbers on every machine', () => {
  const random = Random.seeded([7, 0]);
  expect(Array.from({ length: 4 }, () => random.uint32())).toEqual([397682792, 3134516709, 1901423949, 1068749833]);
});

test('numbers are those of xoshiro128** from the state 1, 2, 3, 4', () => {
  const random = new Random([1, 2, 3, 4]);
  const expected = [
    11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804,
  ];
  expect(expected.map(() => random.uint32())).toEqual(expected);
});

test('seeds that differ in one bit of one number give other streams', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 4 }), fc.nat(), fc.nat(30), (seeds, place, bit) => {
      const index = place % seeds.length;
      const other = seeds.map((seed, at) => (at === index ? seed ^ (1 << bit) : seed));
      const [a, b] = [Random.seeded(seeds), Random.seeded(other)];
      const same = Array.from({ length: 8 }, () => a.uint32() === b.uint32()).filter(Boolean);
      expect(same.length).toBeLessThan(2);
    }),
  );
});

test('uniform numbers lie in [0, 1) and are spread evenly', () => {
  const random = Random.seeded([1]);
  const counts = Array.from({ length: 10 }, () => 0);
  for (let i = 0; i < 100_000; i++) {
    const number = random.uniform();
    expect(number >= 0 && number < 1).toBe(true);
    const tenth = Math.floor(10 * number);
    counts[tenth] = (counts[tenth] ?? 0) + 1;
  }
  // A tenth has 10,000 of them, with a standard deviation of 95.
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
});

test('words in another order, or with one more, have another hash', () => {
  const hashes = [[], [0], [0, 0], [1, 2], [2, 1], [1, 2, 0]].map((words) => hashWords(Uint32Array.from(words)));
  expect(new Set(hashes).size).toBe(6);
});
