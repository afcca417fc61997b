import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ImageError } from '../../src/errors.ts';
import type { OutputRecord } from '../../src/output/record.ts';
import type { PixelSource } from '../../src/pipeline/bounded-decoder.ts';
import type { MatchRun } from '../../src/pipeline/match.ts';
import { rankImages } from '../../src/pipeline/rank.ts';
import { FakeMatchingModel, type Scores } from './fake-matching-model.ts';
import { IMAGE } from './fake-model.ts';

const TEXTS = ['a dog', 'a cat'];

const numberedPixels: PixelSource = async (path) => Float32Array.of(Number(path));

/** The same, where the file called 1 is empty. */
const withEmptyFile: PixelSource = async (path, ...others) => {
  if (path === '1') throw new ImageError('empty-file', 'the file is empty.');
  return numberedPixels(path, ...others);
};

function runOf(model: FakeMatchingModel, images: readonly number[], changes: Partial<MatchRun> = {}): MatchRun {
  return {
    files: images.map((image) => ({ path: String(image) })),
    image: IMAGE,
    model: Promise.resolve(model),
    settings: { texts: TEXTS, details: false, maxPixels: 1000, decodeSeconds: 20, decoders: 2 },
    pixels: numberedPixels,
    signal: new AbortController().signal,
    ...changes,
  };
}

async function outcomesOf(run: MatchRun, top: number) {
  const outcomes = [];
  for await (const outcome of rankImages(run, top)) outcomes.push(outcome);
  return outcomes;
}

async function recordsOf(run: MatchRun, top: number): Promise<OutputRecord[]> {
  return (await outcomesOf(run, top)).flatMap(({ records }) => records);
}

/** Records as text, image and rank. */
const places = (records: readonly OutputRecord[]) =>
  records.map((record) => ('rank' in record ? [record.text, record.image, record.rank] : []));

test('the sum of both scores decides, and not one of them', async () => {
  const scores: Record<number, [itc: number, itmLogit: number]> = { 0: [0.9, -1], 1: [0.1, 0.5], 2: [0.4, 0.4] };
  const model = new FakeMatchingModel(2, (image) => {
    const [itc = 0, itmLogit = 0] = scores[image] ?? [];
    return { itc, itmLogit, itm: 0.5 };
  });
  const run = runOf(model, [0, 1, 2]);
  const records = await recordsOf({ ...run, settings: { ...run.settings, details: true } }, 2);
  expect(records.slice(0, 2)).toEqual([
    { schema: 1, image: '2', text: 'a dog', rank: 1, itm: 0.5, itc: 0.4, model: 'fake@f00dcafe0123', score: 0.8 },
    { schema: 1, image: '1', text: 'a dog', rank: 2, itm: 0.5, itc: 0.1, model: 'fake@f00dcafe0123', score: 0.6 },
  ]);
  expect(places(records.slice(2))).toEqual([
    ['a cat', '2', 1],
    ['a cat', '1', 2],
  ]);
});

/** Scores of up to 40 images for both texts, from few values, so that ties are common. */
const table = fc.array(fc.tuple(fc.nat(4), fc.nat(4), fc.nat(4), fc.nat(4)), { minLength: 1, maxLength: 40 });

const scoresOf =
  (rows: readonly (readonly number[])[]): Scores =>
  (image, text) => ({ itc: rows[image]?.[text] ?? NaN, itmLogit: rows[image]?.[2 + text] ?? NaN, itm: 0.5 });

test('the best N are those of all pairs sorted, ties in the order of the images, whatever can be kept', async () => {
  await fc.assert(
    fc.asyncProperty(table, fc.integer({ min: 1, max: 50 }), fc.nat(40), async (rows, top, room) => {
      const model = new FakeMatchingModel(2, scoresOf(rows), room);
      const images = [...rows.keys()];
      const records = await recordsOf(runOf(model, images), top);
      const expected = TEXTS.flatMap((text, index) =>
        images
          .map((image) => ({ image, score: (rows[image]?.[index] ?? NaN) + (rows[image]?.[2 + index] ?? NaN) }))
          .toSorted((a, b) => b.score - a.score || a.image - b.image)
          .slice(0, top)
          .map(({ image }, place) => [text, String(image), place + 1]),
      );
      expect(places(records)).toEqual(expected);
      // Once each, and once more those that were not kept.
      expect(model.embeddedImages).toBe(images.length + Math.max(images.length - room, 0));
    }),
    { numRuns: 60 },
  );
});

test('of many images only the 128 most similar to a text are read together with it, and only those are kept', async () => {
  const images = Array.from({ length: 300 }, (_, image) => image);
  const rescored = new Set<number>();
  const model = new FakeMatchingModel(1, (image) => ({ itc: image, itmLogit: -2 * image, itm: 0.5 }));
  const rescore = model.rescore.bind(model);
  model.rescore = async (image, ...others) => {
    rescored.add(image);
    return rescore(image, ...others);
  };
  const run = runOf(model, images);
  const records = await recordsOf({ ...run, settings: { ...run.settings, texts: ['a dog'] } }, 1);
  expect([...rescored].toSorted((a, b) => a - b)).toEqual(images.slice(172));
  expect(places(records)).toEqual([['a dog', '172', 1]]);
  expect(model.kept.size).toBe(128);
  expect(model.embeddedImages).toBe(300);
});

test('more than 128 can be asked for', async () => {
  const images = Array.from({ length: 200 }, (_, image) => image);
  const model = new FakeMatchingModel(2, (image) => ({ itc: -image, itmLogit: 0, itm: 0.5 }));
  expect(await recordsOf(runOf(model, images), 150)).toHaveLength(300);
});

test('images that fail have their record at once, in their order, and the rest is ranked', async () => {
  const model = new FakeMatchingModel(2, (image) =>
    image === 3 ? new ImageError('not-a-number', 'NaN.') : { itc: image, itmLogit: 0, itm: 0.5 },
  );
  const outcomes = await outcomesOf(runOf(model, [0, 1, 2, 3], { pixels: withEmptyFile }), 5);
  expect(
    outcomes.map((outcome) => ['later' in outcome, outcome.file?.path, outcome.errors.map(({ code }) => code)]),
  ).toEqual([
    [false, '0', []],
    [false, '1', ['empty-file']],
    [false, '2', []],
    [false, '3', ['not-a-number']],
    [true, undefined, []],
    [true, undefined, []],
  ]);
  expect(outcomes[1]?.records).toEqual([
    { schema: 1, image: '1', error: { code: 'empty-file', message: 'the file is empty.' } },
  ]);
  expect(places(outcomes[4]?.records ?? [])).toEqual([
    ['a dog', '2', 1],
    ['a dog', '0', 2],
  ]);
});

test('an image that is gone when it has to be read again fails then, once, and the rest is ranked', async () => {
  const seen = new Set<string>();
  const pixels: PixelSource = async (path, ...others) => {
    if (path === '1' && seen.has(path)) throw new ImageError('file-not-found', 'the file is gone.');
    seen.add(path);
    return numberedPixels(path, ...others);
  };
  const model = new FakeMatchingModel(2, (image) => ({ itc: image, itmLogit: 0, itm: 0.5 }), 0);
  const outcomes = await outcomesOf(runOf(model, [0, 1, 2], { pixels }), 5);
  const failed = outcomes.filter(({ errors }) => errors.length > 0);
  expect(failed).toMatchObject([
    { later: true, file: { path: '1' }, records: [{ error: { code: 'file-not-found' } }] },
  ]);
  expect(places(outcomes.at(-1)?.records ?? [])).toEqual([
    ['a cat', '2', 1],
    ['a cat', '0', 2],
  ]);
});

test('an abort in either pass ends it with its reason', async () => {
  for (const pass of ['compare', 'rescore'] as const) {
    const controller = new AbortController();
    const model = new FakeMatchingModel(2, (image) => ({ itc: image, itmLogit: 0, itm: 0.5 }));
    model[pass] = async () => {
      controller.abort(new Error(`enough of ${pass}`));
      return new Promise(() => {});
    };
    await expect(recordsOf(runOf(model, [0, 1], { signal: controller.signal }), 1)).rejects.toThrow(
      `enough of ${pass}`,
    );
  }
});

/** The file called 1 is damaged, and decoded all the same. */
const secondDamaged: PixelSource = async (path, image, limits, signal) => {
  if (path === '1') limits.warn('damaged');
  return numberedPixels(path, image, limits, signal);
};

test('what is wrong with an image that was compared all the same stands beside its rank', async () => {
  const model = new FakeMatchingModel(2, (image) => ({ itc: image / 10, itmLogit: 0, itm: 0.5 }));
  const records = await recordsOf(runOf(model, [0, 1], { pixels: secondDamaged }), 2);
  expect(records.map((record) => [record.image, 'warnings' in record ? record.warnings : undefined])).toEqual([
    ['1', ['damaged']],
    ['0', undefined],
    ['1', ['damaged']],
    ['0', undefined],
  ]);
});
