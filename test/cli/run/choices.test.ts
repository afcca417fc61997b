/** `ask` with given answers, as a user runs it. */
import { parse } from 'csv-parse/sync';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lastLine, minigpt, placePhoto, records, temporaryFolder } from '../binary.ts';

type Score = { choice: string; score: number; logProbability: number; tokens: number; probability: number };

/** Photographs in the folder. */
const COUNT = 4;

const QUESTION = 'Is there a cat in the photo?';

/** More than nano has positions for. */
const LONG = `a,${'#'.repeat(600)}`;

let folder = '';

beforeEach(() => {
  folder = temporaryFolder();
  for (let index = 0; index < COUNT; index++) placePhoto(join(folder, `photos/${index}.jpg`), index);
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function scoresOf(args: readonly string[]): Promise<Score[][]> {
  const { stdout, code } = await minigpt(folder, ['ask', 'photos', '-q', QUESTION, '--scores', ...args]);
  expect(code).toBe(0);
  return records(stdout).map(({ scores }) => scores as Score[]);
}

test('every answer is one of the choices, and nothing else is in its record', async () => {
  const { stdout, stderr, code } = await minigpt(folder, ['ask', 'photos', '-q', QUESTION, '-q', 'Why?', '--yes-no']);
  const answered = records(stdout);
  expect(answered).toHaveLength(2 * COUNT);
  for (const [index, record] of answered.entries()) {
    expect(record).toEqual({
      schema: 1,
      image: `photos/${Math.floor(index / 2)}.jpg`,
      question: index % 2 === 0 ? QUESTION : 'Why?',
      answer: expect.stringMatching(/^(yes|no)$/),
    });
  }
  expect(stderr).toContain(`${COUNT} images answered`);
  expect(code).toBe(0);
});

test('with --scores and --details, the answer has the greatest mean, and its ids, sum and tokens agree', async () => {
  const choices = ['a photograph of a cat', 'no', '"yes, two"'];
  const args = ['ask', 'photos', '-q', QUESTION, '--choices', choices.join(','), '--scores', '--details'];
  const { stdout } = await minigpt(folder, args);
  const answered = records(stdout);
  expect(answered).toHaveLength(COUNT);
  for (const record of answered) {
    const scores = record['scores'] as Score[];
    expect(scores.map(({ choice }) => choice)).toEqual(['a photograph of a cat', 'no', 'yes, two']);
    for (const { score, logProbability, tokens } of scores) expect(score).toBe(logProbability / tokens);
    const greatest = Math.max(...scores.map(({ score }) => score));
    const best = scores.find(({ score }) => score === greatest);
    expect(record).toMatchObject({ answer: best?.choice, score: best?.logProbability, finishReason: 'stop' });
    expect(record['tokenIds']).toHaveLength(best?.tokens ?? NaN);
    const sum = scores.reduce((total, { score }) => total + Math.exp(score), 0);
    for (const { score, probability } of scores) expect(probability).toBeCloseTo(Math.exp(score) / sum, 9);
  }
});

test('scores do not depend on the batch, on the threads, or on the order of the choices: within 1e-4', async () => {
  const list = ['a dog', 'a cat', 'a dog on a sofa', 'nothing'];
  const together = await scoresOf(['--choices', list.join(','), '--batch-size', '16']);
  const alone = await scoresOf(['--choices', list.join(','), '--batch-size', '1', '--threads', '1']);
  const backwards = await scoresOf(list.toReversed().flatMap((choice) => ['--choices', choice]));
  expect(together).toHaveLength(COUNT);
  for (const [image, scores] of together.entries()) {
    for (const [index, { choice, score }] of scores.entries()) {
      const others = [alone[image]?.[index], backwards[image]?.[list.length - 1 - index]];
      for (const other of others) {
        expect(other?.choice).toBe(choice);
        expect(Math.abs((other?.score ?? NaN) - score)).toBeLessThan(1e-4);
      }
    }
  }
});

test('three hundred choices are judged too', async () => {
  const list = Array.from({ length: 300 }, (_, index) => `number ${index}`);
  const scores = await scoresOf(['--choices', list.join(','), '--batch-size', '4']);
  for (const one of scores) expect(one.map(({ choice }) => choice)).toEqual(list);
});

test('of a broken image every question is a failed record, without scores', async () => {
  writeFileSync(join(folder, 'photos/0.jpg'), '');
  const { stdout, code } = await minigpt(folder, ['ask', 'photos', '-q', QUESTION, '--yes-no', '--scores']);
  const [broken, next] = records(stdout);
  expect(broken).toEqual({
    schema: 1,
    image: 'photos/0.jpg',
    question: QUESTION,
    error: { code: 'empty-file', message: expect.any(String) },
  });
  expect(next).toHaveProperty('scores');
  expect(code).toBe(1);
});

test('CSV has the scores as its last column', async () => {
  const args = ['ask', 'photos/0.jpg', '-q', QUESTION, '--yes-no', '--scores', '--format', 'csv'];
  const { stdout } = await minigpt(folder, args);
  const [header, cells] = parse(stdout);
  expect(header).toEqual(['image', 'question', 'answer', 'error', 'scores']);
  const scores = JSON.parse(cells?.[4] ?? '') as Score[];
  expect(scores.map(({ choice }) => choice)).toEqual(['yes', 'no']);
});

describe('refused with exit code 2, before any record is written, are', () => {
  test.each([
    [['--yes-no', '--choices', 'a,b'], '--yes-no means --choices yes,no'],
    [['--choices', 'a'], '"a" is the only choice'],
    [['--choices', 'a,a'], '"a" is given twice'],
    [['--choices', '"a,b'], 'wrong quotes in "a,b'],
    [['--scores'], '--scores has no effect without choices'],
    [['--yes-no', '--beams', '5'], '--beams has no effect with --yes-no'],
    [['--choices', 'a,b', '--max-new-tokens', '5'], '--max-new-tokens has no effect with --choices'],
    [['--choices', 'a\nb,c'], 'contains the text that ends an answer'],
  ])('%j', async (args, message) => {
    const { stdout, stderr, code } = await minigpt(folder, ['ask', 'photos', '-q', QUESTION, ...args]);
    expect(lastLine(stderr)).toContain(message);
    expect([stdout, code]).toEqual(['', 2]);
  });

  test('wrong choices, also where no image could be read', async () => {
    const { stderr, code } = await minigpt(folder, ['ask', 'nowhere', '-q', QUESTION, '--choices', 'a']);
    expect(lastLine(stderr)).toContain('"a" is the only choice');
    expect(code).toBe(2);
  });

  test('a choice that is longer than what the model can write', async () => {
    const { stdout, stderr, code } = await minigpt(folder, ['ask', 'photos', '-q', QUESTION, '--choices', LONG]);
    expect(lastLine(stderr)).toMatch(
      /is too long: it has \d+ tokens, and the model nano has room for \d+ after the image/,
    );
    expect([stdout, code]).toEqual(['', 2]);
  });

  test('choices of a caption', async () => {
    const { stderr, code } = await minigpt(folder, ['caption', 'photos', '--choices', 'a,b']);
    expect(stderr).toContain("unknown option '--choices'");
    expect(code).toBe(2);
  });
});
