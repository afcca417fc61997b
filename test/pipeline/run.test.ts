import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { QuestionForm, TokenizedPrompt } from '../../src/engine/model.ts';
import { ImageError, MinigptError, PackError } from '../../src/errors.ts';
import type { OutputRecord } from '../../src/output/record.ts';
import type { PixelSource } from '../../src/pipeline/bounded-decoder.ts';
import { answerImages, REORDER_WINDOW, type Run } from '../../src/pipeline/run.ts';
import type { Settings } from '../../src/pipeline/settings.ts';
import { Deferred, settle } from './deferred.ts';
import { answer, FakeModel, IMAGE } from './fake-model.ts';

const SETTINGS: Settings = {
  task: { kind: 'caption', prompt: undefined },
  decoding: { maxNewTokens: 30, minNewTokens: 0, repetitionPenalty: 1, noRepeatNgram: 0 },
  maxPixels: 1000,
  decodeSeconds: 20,
  details: false,
  scores: false,
  decoders: 3,
};

/** Files named by numbers, whose pixels begin with their number. */
const numberedPixels: PixelSource = async (path) => new Float32Array([Number(path), 0, 0]);

function numberedFiles(count: number): { path: string }[] {
  return Array.from({ length: count }, (_, index) => ({ path: String(index) }));
}

function runOf(model: FakeModel | Promise<FakeModel>, changes: Partial<Run> = {}): Run {
  return {
    files: numberedFiles(3),
    image: IMAGE,
    model: Promise.resolve(model),
    settings: SETTINGS,
    pixels: numberedPixels,
    signal: new AbortController().signal,
    ...changes,
  };
}

async function recordsOf(run: Run): Promise<OutputRecord[]> {
  const records: OutputRecord[] = [];
  for await (const outcome of answerImages(run)) records.push(...outcome.records);
  return records;
}

const captionByNumber = new FakeModel(4, (image) => answer(`image ${image}`));

test('each image gets its caption, in the order of the files', async () => {
  expect(await recordsOf(runOf(captionByNumber))).toEqual([
    { schema: 1, image: '0', caption: 'image 0' },
    { schema: 1, image: '1', caption: 'image 1' },
    { schema: 1, image: '2', caption: 'image 2' },
  ]);
});

/** The file called 1 is damaged, and decoded all the same. */
const secondDamaged: PixelSource = async (path, _image, limits) => {
  if (path === '1') limits.warn('damaged');
  return new Float32Array([Number(path), 0, 0]);
};

test('what is wrong with an image that was decoded all the same stands in its records', async () => {
  expect(await recordsOf(runOf(captionByNumber, { pixels: secondDamaged }))).toEqual([
    { schema: 1, image: '0', caption: 'image 0' },
    { schema: 1, image: '1', caption: 'image 1', warnings: ['damaged'] },
    { schema: 1, image: '2', caption: 'image 2' },
  ]);
});

test('choices reach the model as they are given, and their scores stand in records only where they are wanted', async () => {
  const scores = [
    { choice: 'no', score: -3, logProbability: -6, tokens: 2, probability: 0.1 },
    { choice: 'yes', score: -0.8, logProbability: -1.6, tokens: 2, probability: 0.9 },
  ];
  const given: (readonly string[] | undefined)[] = [];
  class Choosing extends FakeModel {
    override questionPrompt(question: string, form?: QuestionForm): TokenizedPrompt {
      given.push(form?.choices);
      return super.questionPrompt(question);
    }
  }
  const model = new Choosing(4, () => ({ ...answer('yes'), scores }));
  const task = { kind: 'ask', questions: ['Who?', 'Why?'], choices: ['no', 'yes'] } as const;
  const [file] = numberedFiles(1);
  const files = file === undefined ? [] : [file];
  const plain = { schema: 1, image: '0', question: 'Who?', answer: 'yes' };
  expect(await recordsOf(runOf(model, { files, settings: { ...SETTINGS, task } }))).toEqual([
    plain,
    { ...plain, question: 'Why?' },
  ]);
  expect(await recordsOf(runOf(model, { files, settings: { ...SETTINGS, task, scores: true } }))).toEqual([
    { ...plain, scores },
    { ...plain, question: 'Why?', scores },
  ]);
  expect(given).toEqual(Array.from({ length: 4 }, () => ['no', 'yes']));
});

test('a detailed description is trimmed, and asked for in each wording with a request to go on', async () => {
  const asked: unknown[] = [];
  const model = new FakeModel(1, (_, prompt) => ({ ...answer(`${prompt} is this. And it`), finishReason: 'length' }));
  const detail = { instructions: ['one', 'two'], goOn: { request: 'More', belowTokens: 9 } };
  const answerPrompts = model.answer.bind(model);
  model.answer = async (pixelValues, prompts, options) => {
    asked.push(...prompts.map(({ followUp }) => followUp));
    return answerPrompts(pixelValues, prompts, options);
  };
  const settings: Settings = { ...SETTINGS, task: { kind: 'caption', prompt: undefined, detail } };
  const records = await recordsOf(runOf(model, { files: numberedFiles(1), settings }));
  expect(records).toEqual(
    detail.instructions.map((instruction) => ({
      schema: 1,
      image: '0',
      instruction,
      caption: `<image>${instruction} is this.`,
    })),
  );
  expect(asked).toEqual(detail.instructions.map((question) => ({ question, ...detail.goOn })));
});

test('whatever takes how long and whatever fails, records come in order and the bounds hold', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.constantFrom('good', 'unreadable', 'bug', 'refused by the model'), { maxLength: 25 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 4 }),
      async (scheduler, fates, imagesInFlight, decoders) => {
        const model = new FakeModel(imagesInFlight, async (image) => {
          await scheduler.schedule(Promise.resolve());
          if (fates[image] === 'refused by the model') return new ImageError('not-a-number', 'NaN.');
          return answer(`image ${image}`);
        });
        let decoding = 0;
        const pixels: PixelSource = async (path) => {
          decoding += 1;
          expect(decoding).toBeLessThanOrEqual(decoders);
          await scheduler.schedule(Promise.resolve());
          decoding -= 1;
          const fate = fates[Number(path)];
          if (fate === 'unreadable') throw new ImageError('unreadable-image', 'no image.');
          if (fate === 'bug') throw new TypeError('x is undefined');
          return new Float32Array([Number(path)]);
        };
        const files = numberedFiles(fates.length);
        const records = await scheduler.waitFor(
          recordsOf(runOf(model, { files, pixels, settings: { ...SETTINGS, decoders } })),
        );
        expect(records).toEqual(
          fates.map((fate, index) => {
            const image = String(index);
            if (fate === 'good') return { schema: 1, image, caption: `image ${index}` };
            const error = {
              unreadable: { code: 'unreadable-image', message: 'no image.' },
              bug: { code: 'internal', message: 'x is undefined' },
              'refused by the model': { code: 'not-a-number', message: 'NaN.' },
            }[fate];
            return { schema: 1, image, error };
          }),
        );
        expect(model.mostInFlight).toBeLessThanOrEqual(imagesInFlight);
        expect(model.inFlight).toBe(0);
      },
    ),
  );
});

describe('questions', () => {
  const questions = ['What is it?', 'Where?'];
  const settings: Settings = { ...SETTINGS, task: { kind: 'ask', questions } };

  test('every image is given to the model once and gets one record per question', async () => {
    const model = new FakeModel(4, (image, prompt) => answer(`${image} ${prompt}`));
    const records = await recordsOf(runOf(model, { settings, files: numberedFiles(2) }));
    expect(model.images).toBe(2);
    expect(records).toEqual([
      { schema: 1, image: '0', question: 'What is it?', answer: '0 <image>Q: What is it? A:' },
      { schema: 1, image: '0', question: 'Where?', answer: '0 <image>Q: Where? A:' },
      { schema: 1, image: '1', question: 'What is it?', answer: '1 <image>Q: What is it? A:' },
      { schema: 1, image: '1', question: 'Where?', answer: '1 <image>Q: Where? A:' },
    ]);
  });

  test('a broken image fails for each question, but is one error', async () => {
    const error = new ImageError('empty-file', 'the file is empty.');
    const pixels: PixelSource = async () => {
      throw error;
    };
    const outcomes = answerImages(runOf(captionByNumber, { settings, files: numberedFiles(1), pixels }));
    const { value } = await outcomes.next();
    expect(value).toEqual({
      file: { path: '0' },
      records: questions.map((question) => ({
        schema: 1,
        image: '0',
        question,
        error: { code: 'empty-file', message: 'the file is empty.' },
      })),
      errors: [error],
    });
  });

  test('a question that is too long fails alone', async () => {
    const model = new FakeModel(4, (_image, prompt) =>
      prompt.includes('Where') ? new ImageError('prompt-too-long', 'too long.') : answer('a dog'),
    );
    expect(await recordsOf(runOf(model, { settings, files: numberedFiles(1) }))).toEqual([
      { schema: 1, image: '0', question: 'What is it?', answer: 'a dog' },
      { schema: 1, image: '0', question: 'Where?', error: { code: 'prompt-too-long', message: 'too long.' } },
    ]);
  });
});

test('details tell the model, the exact prompt, the ids and the time, and only then is the score computed', async () => {
  const asked: boolean[] = [];
  const model = new FakeModel(4, (_image, _prompt, { score }) => {
    asked.push(score);
    return answer('a dog');
  });
  const files = numberedFiles(1);
  const task = { kind: 'caption', prompt: 'a photo of' } as const;
  await recordsOf(runOf(model, { files }));
  const [record] = await recordsOf(runOf(model, { files, settings: { ...SETTINGS, task, details: true } }));
  expect(asked).toEqual([false, true]);
  expect(record).toEqual({
    schema: 1,
    image: '0',
    caption: 'a dog',
    model: 'fake@f00dcafe0123',
    prompt: '<image>a photo of',
    tokenIds: [5, 2],
    finishReason: 'stop',
    score: -0.5,
    seconds: expect.any(Number),
  });
  expect(Object.keys(record ?? {}).slice(3)).toEqual([
    'model',
    'prompt',
    'tokenIds',
    'finishReason',
    'score',
    'seconds',
  ]);
});

test('images are decoded while the model is still loading', async () => {
  const model = new Deferred<FakeModel>();
  const decoded: string[] = [];
  const pixels: PixelSource = async (path) => {
    decoded.push(path);
    return new Float32Array([Number(path)]);
  };
  const outcomes = answerImages(runOf(model.promise, { pixels, files: numberedFiles(10) }));
  const first = outcomes.next();
  await settle();
  // Not all of them: pixels wait for the model in as many places as there are decoders.
  expect(decoded).toEqual(['0', '1', '2']);
  model.resolve(captionByNumber);
  expect((await first).done).toBe(false);
  await outcomes.return();
});

test('a model that cannot be loaded fails the run, not an image', async () => {
  const error = new PackError('/packs/x', 'damaged.');
  await expect(recordsOf(runOf(Promise.reject(error)))).rejects.toBe(error);
});

test('a model that ends during the run fails the run', async () => {
  const error = new MinigptError('the inference thread ended.');
  const model = new FakeModel(4, (image) => {
    if (image === 1) throw error;
    return answer('a dog');
  });
  const outcomes = answerImages(runOf(model));
  expect((await outcomes.next()).value).toMatchObject({ records: [{ caption: 'a dog' }] });
  await expect(outcomes.next()).rejects.toBe(error);
});

test('behind one slow image, finished records wait in a bounded number and the rest is not begun', async () => {
  let decoded = 0;
  const pixels: PixelSource = async (path) => {
    decoded += 1;
    return new Float32Array([Number(path)]);
  };
  const slow = new Deferred<void>();
  const model = new FakeModel(2, async (image) => {
    if (image === 0) await slow.promise;
    return answer('a dog');
  });
  const files = numberedFiles(REORDER_WINDOW * 2);
  const outcomes = answerImages(runOf(model, { files, pixels }));
  const first = outcomes.next();
  while (model.images < REORDER_WINDOW) await settle();
  await settle();
  expect(decoded).toBe(REORDER_WINDOW);
  slow.resolve();
  expect((await first).done).toBe(false);
  await outcomes.return();
});

test('when the consumer stops, decoding stops', async () => {
  let decoded = 0;
  const signals: AbortSignal[] = [];
  const pixels: PixelSource = async (path, _image, _limits, signal) => {
    decoded += 1;
    signals.push(signal);
    await settle();
    return new Float32Array([Number(path)]);
  };
  for await (const outcome of answerImages(runOf(captionByNumber, { files: numberedFiles(200), pixels }))) {
    if (outcome.file.path === '5') break;
  }
  const atStop = decoded;
  for (let turn = 0; turn < 20; turn++) await settle();
  expect(decoded).toBe(atStop);
  expect(atStop).toBeLessThan(50);
  expect(signals.every((signal) => signal.aborted)).toBe(true);
});

test('an abort ends the run with its reason while the model is busy', async () => {
  const controller = new AbortController();
  const model = new FakeModel(4, async () => new Promise<never>(() => undefined));
  const outcomes = answerImages(runOf(model, { signal: controller.signal }));
  const first = outcomes.next();
  while (model.inFlight === 0) await settle();
  controller.abort(new Error('enough'));
  await expect(first).rejects.toThrow('enough');
});
