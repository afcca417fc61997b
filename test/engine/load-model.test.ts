/** The embedded model, loaded by the compiled program with its real threads. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type * as Compiled from '../../src/engine/load-model.ts';
import type { AnswerOptions, LoadOptions, Model } from '../../src/engine/model.ts';
import { readPack, type Pack } from '../../src/pack/model-declaration.ts';

const NANO = join(import.meta.dirname, '../../models/nano');
const compiled = new URL('../../dist/engine/load-model.js', import.meta.url);
const { loadModel } = (await import(compiled.href)) as typeof Compiled;

const LOAD: LoadOptions = { compute: { threads: 1 }, images: 4, batchSize: 4 };
const GREEDY: AnswerOptions = {
  maxNewTokens: 12,
  minNewTokens: 0,
  repetitionPenalty: 1,
  noRepeatNgram: 0,
  score: true,
};

let folder: string;
let nano: Pack;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'minigpt-load-'));
  nano = await readPack(NANO);
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** A grey picture as the model's input, a new one each time: it is given away. */
function greyPixels(): Float32Array {
  return new Float32Array(3 * nano.declaration.image.imageSize ** 2);
}

async function load(options: Partial<LoadOptions> = {}): Promise<Model> {
  const model = await loadModel(nano, { ...LOAD, ...options });
  onTestFinished(async () => model.close());
  return model;
}

/** A copy of the embedded pack in which one file is replaced. */
async function packWith(name: string, text: string): Promise<Pack> {
  const directory = mkdtempSync(join(folder, 'pack-'));
  cpSync(NANO, directory, { recursive: true });
  writeFileSync(join(directory, name), text);
  return readPack(directory);
}

describe('a loaded model', () => {
  test('wants three batches of images in flight for each of its copies', async () => {
    expect((await load()).imagesInFlight).toBe(12);
    expect((await load({ compute: { threads: 2 }, images: 1000, batchSize: 5 })).imagesInFlight).toBe(30);
  });

  test('answers every prompt about an image in order, alone as in company', async () => {
    const model = await load();
    const prompts = [
      model.captionPrompt(),
      model.questionPrompt('What is this?'),
      model.questionPrompt('Is it a dog?', { choices: ['yes', 'no'] }),
    ];
    const together = await model.answer(greyPixels(), prompts, GREEDY);
    expect(together).toMatchObject([
      {
        text: expect.stringMatching(/\w/),
        finishReason: expect.stringMatching(/^(stop|length)$/),
        score: expect.any(Number),
      },
      { text: expect.any(String), finishReason: expect.stringMatching(/^(stop|length)$/) },
      { text: expect.stringMatching(/^(yes|no)$/), scores: [{ choice: 'yes' }, { choice: 'no' }] },
    ]);
    for (const [index, prompt] of prompts.entries())
      expect(await model.answer(greyPixels(), [prompt], GREEDY)).toEqual([together[index]]);
  });

  test('shows a score only where it is wanted, and that of beams only where there are beams', async () => {
    const model = await load();
    const prompt = [model.captionPrompt()];
    const [plain] = await model.answer(greyPixels(), prompt, { ...GREEDY, score: false });
    expect(plain).not.toHaveProperty('score');
    const [greedy] = await model.answer(greyPixels(), prompt, GREEDY);
    expect(greedy).not.toHaveProperty('beamScore');
    const search = { kind: 'beams', beams: 2, lengthPenalty: 1 } as const;
    const [beams] = await model.answer(greyPixels(), prompt, { ...GREEDY, search });
    expect(beams).toMatchObject({ score: expect.any(Number), beamScore: expect.any(Number) });
  });

  test('has no results for no prompts', async () => {
    expect(await (await load()).answer(greyPixels(), [], GREEDY)).toEqual([]);
  });

  test('takes a prompt that is too long as that prompt’s error', async () => {
    const model = await load();
    const prompts = [model.questionPrompt('why '.repeat(300)), model.captionPrompt()];
    expect(await model.answer(greyPixels(), prompts, GREEDY)).toMatchObject([
      { code: 'prompt-too-long' },
      { text: expect.any(String) },
    ]);
  });

  test('rejects what is open when it is closed', async () => {
    const model = await loadModel(nano, LOAD);
    const answers = [1, 2, 3].map(async () => model.answer(greyPixels(), [model.captionPrompt()], GREEDY));
    const rejected = Promise.all(
      answers.map(async (answer) => expect(answer).rejects.toThrow('was closed before it answered')),
    );
    await model.close();
    await rejected;
  });
});

describe('a model that cannot be loaded says why:', () => {
  test('a graph that is damaged', async () => {
    const pack = await packWith('decoder.onnx', 'no graph');
    const error = await loadModel(pack, LOAD).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'PackError', path: join(pack.directory, 'decoder.onnx') });
  });

  test('a tokenizer that is damaged, and the threads that were started for it are ended', async () => {
    const pack = await packWith('tokenizer.json', 'no tokenizer');
    const { openNativeWork } = (await import(new URL('../../dist/threads/native-work.js', import.meta.url).href)) as {
      openNativeWork: () => number;
    };
    const before = openNativeWork();
    await expect(loadModel(pack, LOAD)).rejects.toThrow('tokenizer.json');
    expect(openNativeWork()).toBe(before);
  });

  // Where the pool failed first, nobody listened to it, and the process ended.
  test('both a graph and a tokenizer that are damaged, whichever is noticed first', async () => {
    const pack = await packWith('tokenizer.json', 'no tokenizer');
    writeFileSync(join(pack.directory, 'vision_encoder.onnx'), 'no graph');
    await expect(loadModel(pack, LOAD)).rejects.toThrow('tokenizer.json');
  });

  test('a pack without a language model', async () => {
    const declaration = { ...nano.declaration, language: undefined };
    await expect(loadModel({ ...nano, declaration }, LOAD)).rejects.toThrow('so it cannot write');
  });
});
