import { expect, test } from 'vitest';
import { everyImage, selectImages, type Selection } from '../../src/pipeline/selection.ts';

const found = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((path) => ({ path }));

test('every image is looked at where nothing is left out', () => {
  expect(selectImages(found, everyImage)).toEqual(found);
});

test('parts of a list have each image once, and keep its order', () => {
  const parts = [0, 1, 2].map((part) => {
    const ofPart: Selection = (_file, place) => place % 3 === part;
    return selectImages(found, ofPart).map(({ path }) => path);
  });
  expect(parts).toEqual([
    ['a', 'd', 'g'],
    ['b', 'e'],
    ['c', 'f'],
  ]);
});

test('images that are done already are left out by their paths', () => {
  const done = new Set(['a', 'c', 'not found']);
  const remaining: Selection = ({ path }) => !done.has(path);
  expect(selectImages(found, remaining).map(({ path }) => path)).toEqual(['b', 'd', 'e', 'f', 'g']);
});
