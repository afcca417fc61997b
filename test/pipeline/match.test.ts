import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ImageError, MinigptError } from '../../src/errors.ts';
import type { PixelSource } from '../../src/pipeline/bounded-decoder.ts';
import { matchImages, type MatchRun } from '../../src/pipeline/match.ts';
import type { OutputRecord } from '../../src/output/record.ts';
import { FakeMatchingModel, type Scores } from './fake-matching-model.ts';
import { IMAGE } from './fake-model.ts';

const TEXTS = ['a dog', 'a cat'];

const byNumbers: Scores = (image, text) => ({ itc: image / 100 + text, itm: 1 / (1 + image), itmLogit: 0 });

/** Files named by numbers, whose pixels begin with their number. */
const numberedPixels: PixelSource = async (path) => Float32Array.of(Number(path));

/** The same, where the file called 1 is empty. */
const withEmptyFile: PixelSource = async (path, ...others) => {
  if (path === '1') throw new ImageError('empty-file', 'the file is empty.');
  return numberedPixels(path, ...others);
};

function runOf(model: FakeMatchingModel | Promise<never>, images: readonly number[], changes: Partial<MatchRun> = {}) {
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

async function recordsOf(run: MatchRun): Promise<OutputRecord[]> {
  const records: OutputRecord[] = [];
  for await (const outcome of matchImages(run)) records.push(...outcome.records);
  return records;
}

test('every image has a record for each text, image by image, in the order of both', async () => {
  const model = new FakeMatchingModel(2, byNumbers);
  expect(await recordsOf(runOf(model, [3, 1]))).toEqual([
    { schema: 1, image: '3', text: 'a dog', itm: 0.25, itc: 0.03 },
    { schema: 1, image: '3', text: 'a cat', itm: 0.25, itc: 1.03 },
    { schema: 1, image: '1', text: 'a dog', itm: 0.5, itc: 0.01 },
    { schema: 1, image: '1', text: 'a cat', itm: 0.5, itc: 1.01 },
  ]);
  expect(model.embeddedImages).toBe(2);
});

test('scores have six digits, however small they are', async () => {
  const model = new FakeMatchingModel(2, () => ({ itc: 1 / 3, itm: 1.23456789e-9, itmLogit: 0 }));
  const [record] = await recordsOf(runOf(model, [0]));
  expect(record).toMatchObject({ itc: 0.333333, itm: 1.23457e-9 });
});

test('details tell the model and how long the image took', async () => {
  const run = runOf(new FakeMatchingModel(2, byNumbers), [1]);
  const records = await recordsOf({ ...run, settings: { ...run.settings, details: true } });
  expect(records).toHaveLength(2);
  for (const record of records)
    expect(record).toMatchObject({ model: 'fake@f00dcafe0123', seconds: expect.any(Number) });
});

test('images in another order have the same records in that order, and an image alone has those it has among others', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.nat(50), { minLength: 1, maxLength: 12 }),
      fc.infiniteStream(fc.nat()),
      async (images, keys) => {
        const model = new FakeMatchingModel(2, byNumbers);
        const records = await recordsOf(runOf(model, images));
        const order = images
          .map((image) => ({ image, key: keys.next().value as number }))
          .toSorted((a, b) => a.key - b.key);
        const permuted = await recordsOf(
          runOf(
            model,
            order.map(({ image }) => image),
          ),
        );
        const of = (image: number) => records.filter((record) => record.image === String(image));
        expect(permuted).toEqual(order.flatMap(({ image }) => of(image)));
        const [first = 0] = images;
        expect(await recordsOf(runOf(model, [first]))).toEqual(of(first));
        expect(model.mostInFlight).toBeLessThanOrEqual(model.imagesInFlight);
      },
    ),
    { numRuns: 30 },
  );
});

test('an image that cannot be read, or scored, fails with every text and is one error; the others are matched', async () => {
  const model = new FakeMatchingModel(2, (image, text) =>
    image === 2 ? new ImageError('not-a-number', 'NaN.') : byNumbers(image, text),
  );
  const outcomes = [];
  for await (const outcome of matchImages(runOf(model, [0, 1, 2, 3], { pixels: withEmptyFile })))
    outcomes.push(outcome);
  expect(outcomes.map(({ errors }) => errors.map(({ code }) => code))).toEqual([
    [],
    ['empty-file'],
    ['not-a-number'],
    [],
  ]);
  expect(outcomes[1]?.records).toEqual(
    TEXTS.map((text) => ({
      schema: 1,
      image: '1',
      text,
      error: { code: 'empty-file', message: 'the file is empty.' },
    })),
  );
  expect(outcomes[3]?.records).toMatchObject([{ itc: 0.03 }, { itc: 1.03 }]);
});

test('a model that cannot be loaded, or has ended, ends the run', async () => {
  const error = new MinigptError('no room for it.');
  await expect(recordsOf(runOf(Promise.reject(error), [0, 1]))).rejects.toBe(error);
  const ended = new FakeMatchingModel(2, () => {
    throw error;
  });
  await expect(recordsOf(runOf(ended, [0, 1]))).rejects.toBe(error);
});

test('an abort ends it with its reason', async () => {
  const controller = new AbortController();
  const model = new FakeMatchingModel(2, (image, text) => {
    controller.abort(new Error('enough'));
    return byNumbers(image, text);
  });
  await expect(recordsOf(runOf(model, [0, 1], { signal: controller.signal }))).rejects.toThrow('enough');
});

/** The file called 1 is damaged, and decoded all the same. */
const secondDamaged: PixelSource = async (path, image, limits, signal) => {
  if (path === '1') limits.warn('damaged');
  return numberedPixels(path, image, limits, signal);
};

test('what is wrong with an image that was matched all the same stands in its records', async () => {
  const model = new FakeMatchingModel(2, () => ({ itc: 0.5, itmLogit: 0, itm: 0.5 }));
  const outcomes = [];
  for await (const outcome of matchImages(runOf(model, [0, 1], { pixels: secondDamaged }))) outcomes.push(outcome);
  const warnings = outcomes.map(({ records }) => records.map((record) => 'warnings' in record && record.warnings));
  expect(warnings).toEqual([TEXTS.map(() => false), TEXTS.map(() => ['damaged'])]);
});
