/** `minigpt match`, and `caption` by a Q-Former alone, through the built binary, with packs imported from tiny checkpoints. */
import { parse } from 'csv-parse/sync';
import { copyFileSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { largestDifference, readTensors, rowsOf } from '../../vision/tiny-pack.ts';
import {
  lastLine,
  minigpt,
  placePhoto,
  records,
  ROOT,
  shell,
  start,
  temporaryFolder,
  type Finished,
} from '../binary.ts';

const FIXTURES = join(ROOT, 'test/fixtures');
const LAVIS = join(FIXTURES, 'lavis-blip2-qformer');
const TOLERANCE = 1e-4;

let folder: string;
const run = async (...args: string[]): Promise<Finished> => minigpt(folder, args);

type Golden = { images: string[]; texts: { text: string }[]; cases?: { image: number; ids: number[]; text: string }[] };
const goldenOf = (fixture: string): Golden =>
  JSON.parse(readFileSync(join(FIXTURES, fixture, 'golden.json'), 'utf8')) as Golden;

beforeAll(async () => {
  folder = temporaryFolder();
  const hf = await run('models', 'import', join(FIXTURES, 'hf-blip2-itm/model'), '--as', 'tiny-itm');
  const sources = ['eva_vit_g.pth', 'bert-base-uncased', 'blip2_pretrained.pth'].map((name) => join(LAVIS, name));
  const config = join(LAVIS, 'architecture.json');
  const lavis = await run('models', 'import', ...sources, '--config', config, '--as', 'tiny-stage1');
  expect([hf.code, lavis.code]).toEqual([0, 0]);
});

beforeEach(() => {
  for (const name of ['photos', 'many', 'x.jsonl', 'texts.txt'])
    rmSync(join(folder, name), { recursive: true, force: true });
});

/** Photographs with names that sort in the order they are made. */
function placePhotos(count: number): string[] {
  const paths = Array.from({ length: count }, (_, index) => `photos/${index}.jpg`);
  for (const [index, path] of paths.entries()) placePhoto(join(folder, path), index);
  return paths;
}

// LAVIS' second image was resized by Pillow 13, which takes tall images in another order.
describe.each([
  ['tiny-itm', 'hf-blip2-itm', [0, 1, 2, 3], (name: string) => join(FIXTURES, 'images/files', name)],
  ['tiny-stage1', 'lavis-blip2-qformer', [0, 2], (name: string) => join(LAVIS, `image_${name}.png`)],
])('with the model %s', (model, fixture, images, imagePath) => {
  test('both scores of image files and texts are those of the reference', async () => {
    const golden = goldenOf(fixture);
    const tensors = await readTensors(join(FIXTURES, fixture, 'golden.safetensors'));
    const expected = (name: string): number[] => {
      const rows = rowsOf(tensors(name), golden.images.length);
      return images.flatMap((image) => [...(rows[image] ?? [])]);
    };
    mkdirSync(join(folder, 'photos'));
    const names = images.map((image) => golden.images[image] ?? '');
    const paths = names.map((name) => `photos/${name.replace(/(\.png)?$/, '.png')}`);
    for (const [index, name] of names.entries()) copyFileSync(imagePath(name), join(folder, paths[index] ?? ''));
    const texts = golden.texts.flatMap((one) => ['-t', one.text]);

    const { stdout, stderr, code } = await run('match', 'photos', ...texts, '--model', model);
    const found = records(stdout);
    expect(found.map(({ image, text: matched }) => [image, matched])).toEqual(
      paths.flatMap((path) => golden.texts.map((one) => [path, one.text])),
    );
    expect(Object.keys(found[0] ?? {})).toEqual(['schema', 'image', 'text', 'itm', 'itc']);
    expect(
      largestDifference(
        found.map(({ itm }) => itm as number),
        expected('itm_probability'),
      ),
    ).toBeLessThan(TOLERANCE);
    expect(
      largestDifference(
        found.map(({ itc }) => itc as number),
        expected('itc'),
      ),
    ).toBeLessThan(TOLERANCE);
    expect(stderr).toMatch(new RegExp(`^minigpt: ${paths.length} images matched in [^\n]*\n$`));
    expect(code).toBe(0);
  });

  test('--top gives the best of each text, and every image goes through the image encoder once', async () => {
    const paths = placePhotos(12);
    const command = ['match', 'photos', '-t', 'a dog', '-t', 'two cats', '--model', model, '--details'];
    const { stdout, stderr, code } = await run(...command, '--top', '5', '--verbose');
    const ranked = records(stdout);
    expect(ranked.map(({ text: matched, rank }) => [matched, rank])).toEqual(
      ['a dog', 'two cats'].flatMap((matched) => [1, 2, 3, 4, 5].map((rank) => [matched, rank])),
    );
    const pairs = records((await run(...command)).stdout);
    for (const matched of ['a dog', 'two cats']) {
      const ofText = ranked.filter((record) => record['text'] === matched);
      const scores = ofText.map(({ score }) => score as number);
      expect(scores).toEqual(scores.toSorted((a, b) => b - a));
      for (const { image, itm, itc, score } of ofText) {
        const pair = pairs.find((record) => record['image'] === image && record['text'] === matched);
        expect(itm).toBeCloseTo(pair?.['itm'] as number, 5);
        expect(itc).toBeCloseTo(pair?.['itc'] as number, 5);
        // The others of this text are no better.
        expect(paths).toContain(image);
        expect(score).toBeGreaterThanOrEqual(scores.at(-1) ?? Infinity);
      }
    }
    expect(stderr).toContain('minigpt: the image encoder ran on 12 images\n');
    expect(lastLine(stderr)).toMatch(/^minigpt: 12 images compared in /);
    expect(code).toBe(0);
  });
});

describe('output', () => {
  test('every size of batch gives the same records', async () => {
    placePhotos(7);
    const command = ['match', 'photos', '-t', 'a dog', '-t', 'a cat on a mat', '--model', 'tiny-itm'];
    const alone = records((await run(...command, '--batch-size', '1')).stdout);
    const batched = records((await run(...command, '--batch-size', '16')).stdout);
    expect(alone).toHaveLength(14);
    expect(batched.map(({ image, text: matched }) => [image, matched])).toEqual(
      alone.map(({ image, text: matched }) => [image, matched]),
    );
    for (const key of ['itm', 'itc'] as const) {
      const of = (found: typeof alone): number[] => found.map((record) => record[key] as number);
      expect(largestDifference(of(batched), of(alone))).toBeLessThan(1e-5);
    }
  });

  test('CSV reads back, with the columns of the command', async () => {
    placePhotos(2);
    writeFileSync(join(folder, 'photos/2.jpg'), '');
    const command = ['match', 'photos', '-t', 'a dog, or "two"', '--model', 'tiny-itm', '--format', 'csv'];
    const { stdout, code } = await run(...command);
    const rows: Record<string, string>[] = parse(stdout, { columns: true });
    expect(rows).toEqual([
      ...['photos/0.jpg', 'photos/1.jpg'].map((image) => ({
        image,
        text: 'a dog, or "two"',
        error: '',
        itm: expect.stringMatching(/^0\.\d+$/),
        itc: expect.stringMatching(/^-?0\.\d+$/),
      })),
      {
        image: 'photos/2.jpg',
        text: 'a dog, or "two"',
        itm: '',
        itc: '',
        error: expect.stringMatching(/^empty-file: /),
      },
    ]);
    expect(code).toBe(1);
    const top = await run(...command, '--top', '1', '--details');
    expect(top.stdout.split('\r\n')[0]).toBe('image,text,rank,itm,itc,error,model,score,warnings');
  });

  test('text is a line each, for people', async () => {
    placePhotos(2);
    const command = ['match', 'photos', '-t', 'a dog', '--model', 'tiny-itm', '--format', 'text'];
    const { stdout } = await run(...command);
    expect(stdout).toMatch(
      /^photos\/0\.jpg: a dog {2}itm \d+ % {2}itc -?0\.\d\d\nphotos\/1\.jpg: a dog {2}itm [^\n]*\n$/,
    );
    const top = await run(...command, '--top', '9');
    expect(top.stdout).toMatch(/^a dog: 1\. photos\/\d\.jpg {2}itm \d+ % {2}itc -?0\.\d\d\na dog: 2\. [^\n]*\n$/);
  });

  test('texts also come from a file, behind those of the command line, and a long one is told', async () => {
    placePhotos(1);
    const long = Array<string>(40).fill('dog').join(' ');
    writeFileSync(join(folder, 'texts.txt'), `\uFEFFa cat\r\n\r\n${long}\n`);
    const { stdout, stderr } = await run(
      'match',
      'photos',
      '--texts',
      'texts.txt',
      '-t',
      'a dog',
      '--model',
      'tiny-stage1',
    );
    expect(records(stdout).map((record) => record['text'])).toEqual(['a dog', 'a cat', long]);
    expect(stderr).toContain(`minigpt: the model reads only the first 32 tokens of the text "${long}".\n`);
  });
});

describe('what goes wrong', () => {
  test('an image that cannot be read fails, the others are matched and ranked', async () => {
    placePhotos(3);
    writeFileSync(join(folder, 'photos/1.jpg'), 'this is no image');
    const command = ['match', 'photos', '-t', 'a dog', '-t', 'a cat', '--model', 'tiny-itm'];
    const all = await run(...command);
    const found = records(all.stdout);
    expect(found.map(({ image, text: matched }) => [image, matched])).toEqual(
      ['photos/0.jpg', 'photos/1.jpg', 'photos/2.jpg'].flatMap((image) =>
        ['a dog', 'a cat'].map((one) => [image, one]),
      ),
    );
    expect(found.map((record) => 'error' in record)).toEqual([false, false, true, true, false, false]);
    expect(lastLine(all.stderr)).toMatch(/^minigpt: 2 images matched, 1 failed, in /);
    expect(all.stderr.split('\n')).toHaveLength(3);
    expect(all.code).toBe(1);

    const top = await run(...command, '--top', '9');
    const [failed, ...ranked] = records(top.stdout);
    expect(failed).toEqual({ schema: 1, image: 'photos/1.jpg', error: found[2]?.['error'] });
    expect(ranked.map(({ text: matched, rank }) => [matched, rank])).toEqual([
      ['a dog', 1],
      ['a dog', 2],
      ['a cat', 1],
      ['a cat', 2],
    ]);
    expect(lastLine(top.stderr)).toMatch(/^minigpt: 2 images compared, 1 failed, in /);
    expect(top.code).toBe(1);
  });

  test('a model without the heads is refused with one to pull where none is here that has them', async () => {
    const { stderr, code } = await minigpt(temporaryFolder(), ['match', 'photos', '-t', 'a dog']);
    expect(lastLine(stderr)).toContain('such as blip2-itm-vit-g: minigpt models pull blip2-itm-vit-g');
    expect(code).toBe(2);
  });

  test.each([
    [
      ['-t', 'a dog'],
      /the model nano has no matching heads, .*\. Use --model with one that can: tiny-itm, tiny-stage1\./,
    ],
    [['--model', 'tiny-itm'], /no texts given\./],
    [['-t', ' ', '--model', 'tiny-itm'], /A text must not be empty\./],
    [['--texts', 'none.txt', '--model', 'tiny-itm'], /--texts none\.txt: there is no such file\./],
    [['-t', 'x', '--top', '0', '--model', 'tiny-itm'], /It should be a whole number of at least 1\./],
    [['-t', 'x', '--max-new-tokens', '3', '--model', 'tiny-itm'], /unknown option '--max-new-tokens'/],
  ])('%j is refused with exit code 2', async (args, message) => {
    placePhotos(1);
    const { stdout, stderr, code } = await run('match', 'photos', ...args);
    expect(lastLine(stderr)).toMatch(message);
    expect([stdout, code]).toEqual(['', 2]);
  });

  test('without any model that matches, one that can be fetched is named', async () => {
    const elsewhere = temporaryFolder();
    placePhoto(join(elsewhere, 'a.jpg'), 0);
    const { stderr, code } = await minigpt(elsewhere, ['match', 'a.jpg', '-t', 'a dog']);
    expect(stderr).toMatch(/minigpt models pull blip2-itm-vit-g[^ ]*\n$/);
    expect(code).toBe(2);
  });

  test('a pack whose weights are gone ends it with exit code 2', async () => {
    placePhotos(1);
    await run('models', 'import', join(FIXTURES, 'hf-blip2-itm/model'), '--as', 'broken');
    rmSync(join(folder, '.minigpt/models/broken/itm.onnx'));
    const { stdout, stderr, code } = await run('match', 'photos', '-t', 'a dog', '--model', 'broken');
    expect(lastLine(stderr)).toContain('itm.onnx: ONNX Runtime cannot load this graph');
    expect([stdout, code]).toEqual(['', 2]);
    await run('models', 'rm', 'broken', '--yes');
  });
});

describe.skipIf(process.platform === 'win32')('a run that does not reach its end', () => {
  const MANY = 400;

  beforeEach(() => {
    placePhoto(join(folder, 'many/0000.jpg'));
    for (let index = 1; index < MANY; index++)
      linkSync(join(folder, 'many/0000.jpg'), join(folder, `many/${String(index).padStart(4, '0')}.jpg`));
  });

  test('is quiet and no failure when its reader has enough', async () => {
    const { stdout, stderr } = await shell(
      folder,
      'minigpt match many -t "a dog" --model tiny-itm 2> err.txt | head -1 > out.txt; echo "${PIPESTATUS[0]}"',
    );
    expect([stdout, stderr]).toEqual(['0\n', '']);
    expect(readFileSync(join(folder, 'err.txt'), 'utf8')).toBe('');
    expect(records(readFileSync(join(folder, 'out.txt'), 'utf8'))).toHaveLength(1);
  });

  test('SIGINT leaves complete lines, says how to go on and ends with 130', async () => {
    const child = start(folder, ['match', 'many', '-t', 'a dog', '--model', 'tiny-itm']);
    const stderr = text(child.stderr);
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      if (stdout === '') child.kill('SIGINT');
      stdout += chunk;
    });
    const [code] = (await once(child, 'close')) as [number | null];
    const written = records(stdout).length;
    expect(code).toBe(130);
    expect(written).toBeGreaterThan(0);
    expect(written).toBeLessThan(MANY);
    expect(await stderr).toMatch(
      new RegExp(
        `^minigpt: interrupted: ${written} images? matched, ${MANY - written} left\\. Every written line is complete\\. To continue, start at many/`,
      ),
    );
  });

  test('a ranking that is interrupted says that there is none', async () => {
    const child = start(folder, ['match', 'many', '-t', 'a dog', '--top', '3', '--model', 'tiny-itm', '--verbose']);
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
      if (chunk.includes('model ready')) child.kill('SIGINT');
    });
    const stdout = await text(child.stdout);
    if (child.exitCode === null) await once(child, 'close');
    expect(stdout).toBe('');
    expect(lastLine(stderr)).toMatch(
      /^minigpt: interrupted: \d+ images? compared, \d+ left\. The best images are only known at the end of a run\.$/,
    );
    expect(child.exitCode).toBe(130);
  });
});

describe('captions by a Q-Former alone', () => {
  test('are those of the reference', async () => {
    const recorded = goldenOf('lavis-blip2-qformer').cases?.find(({ image }) => image === 0);
    mkdirSync(join(folder, 'photos'));
    copyFileSync(join(LAVIS, 'image_a.png'), join(folder, 'photos/a.png'));
    const command = ['caption', 'photos', '--model', 'tiny-stage1', '--details', '--max-new-tokens', '15'];
    const { stdout, code } = await run(...command, '--min-new-tokens', '1');
    expect(records(stdout)).toMatchObject([
      { caption: recorded?.text, tokenIds: recorded?.ids, prompt: '<image>[DEC]' },
    ]);
    expect(code).toBe(0);
  });

  test('have the lengths of the published model, which count the start token: 10 to 30', async () => {
    placePhotos(6);
    const { stdout } = await run('caption', 'photos', '--model', 'tiny-stage1', '--details');
    const captions = records(stdout);
    expect(captions).toHaveLength(6);
    for (const { tokenIds, finishReason } of captions) {
      const written = (tokenIds as number[]).length + 1;
      // The end token comes behind the tenth token at the earliest.
      expect(written).toBeGreaterThan(10);
      expect(written).toBeLessThanOrEqual(30);
      expect(finishReason === 'stop' || written === 30).toBe(true);
    }
  });

  test.each([
    [
      ['ask', 'photos', '-q', 'Who?', '--model', 'tiny-stage1'],
      /Its Q-Former can write captions, but cannot answer questions\./,
    ],
    [['caption', 'photos', '--prompt', 'a photo of', '--model', 'tiny-stage1'], /cannot continue a text\./],
    [
      ['caption', 'photos', '--model', 'tiny-itm'],
      /it cannot write captions or answers\. Use it with "minigpt match"\./,
    ],
  ])('%j is refused with exit code 2', async (args, message) => {
    placePhotos(1);
    const { stdout, stderr, code } = await run(...args);
    expect(lastLine(stderr)).toMatch(message);
    expect([stdout, code]).toEqual(['', 2]);
  });
});
