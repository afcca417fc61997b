import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  BINARY,
  exitStatus,
  lastLine,
  minigpt,
  placePhoto,
  records,
  shell,
  start,
  temporaryFolder,
} from '../binary.ts';

let folder = '';

beforeEach(() => {
  folder = temporaryFolder();
  placePhoto(join(folder, 'a.jpg'));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('a conversation through a pipe', () => {
  test('answers every line with a record, and each question knows those before it', async () => {
    const { stdout, stderr, code } = await minigpt(
      folder,
      ['chat', 'a.jpg', '--details'],
      'What is this?\n\n  What color is it? \r\nWhy?',
    );
    const written = records(stdout);
    expect(written.map(({ schema, image, question }) => [schema, image, question])).toEqual([
      [1, 'a.jpg', 'What is this?'],
      [1, 'a.jpg', 'What color is it?'],
      [1, 'a.jpg', 'Why?'],
    ]);
    const [first, second, third] = written.map(({ answer }) => String(answer));
    expect(first).toMatch(/\w/);
    expect(written.map(({ prompt }) => prompt)).toEqual([
      '<image>Question: What is this? Answer:',
      `<image>Question: What is this? Answer: ${first}. Question: What color is it? Answer:`,
      `<image>Question: What is this? Answer: ${first}. Question: What color is it? Answer: ${second}. Question: Why? Answer:`,
    ]);
    expect(third).toBeDefined();
    for (const record of written) {
      expect(record).toMatchObject({
        model: expect.stringMatching(/^nano@[0-9a-f]{12}$/),
        tokenIds: expect.any(Array),
        finishReason: expect.stringMatching(/^(stop|length)$/),
        score: expect.any(Number),
        seconds: expect.any(Number),
      });
    }
    expect(stderr).toMatch(/^minigpt: 3 questions answered in [\d.]+ s\.\n$/);
    expect(code).toBe(0);
  });

  test('draws as `ask` does, which puts the first question in the same words', async () => {
    const how = [
      '--sample',
      '--temperature',
      '3',
      '--seed',
      '5',
      '--repetition-penalty',
      '1.2',
      '--max-new-tokens',
      '9',
    ];
    const question = 'What is this?';
    const chat = await minigpt(folder, ['chat', 'a.jpg', '--details', ...how], `${question}\n`);
    const ask = await minigpt(folder, ['ask', 'a.jpg', '-q', question, '--details', ...how]);
    const [said] = records(chat.stdout);
    const [answered] = records(ask.stdout);
    expect(said?.['tokenIds']).toEqual(answered?.['tokenIds']);
    const greedy = await minigpt(folder, ['chat', 'a.jpg', '--details', '--max-new-tokens', '9'], `${question}\n`);
    expect(records(greedy.stdout)[0]?.['tokenIds']).not.toEqual(said?.['tokenIds']);
  });

  test('has plain records without --details', async () => {
    const { stdout } = await minigpt(folder, ['chat', 'a.jpg'], 'What is this?\n');
    expect(records(stdout)).toEqual([
      { schema: 1, image: 'a.jpg', question: 'What is this?', answer: expect.any(String) },
    ]);
  });

  test('writes an answer before the next question comes', async () => {
    const child = start(folder, ['chat', 'a.jpg']);
    const stderr = text(child.stderr);
    child.stdout.setEncoding('utf8');
    child.stdin.write('What is this?\n');
    const [first] = (await once(child.stdout, 'data')) as [string];
    expect(records(first)).toHaveLength(1);
    child.stdin.end('And this?\n');
    const rest = await text(child.stdout);
    expect(records(rest)).toHaveLength(1);
    expect(await stderr).toContain('2 questions answered');
  });

  test('can write text', async () => {
    const { stdout } = await minigpt(folder, ['chat', 'a.jpg', '--format', 'text'], 'What is this?\n');
    expect(stdout).toMatch(/^a\.jpg: What is this\? \w.*\n$/);
  });

  test('--show-prompt shows each prompt before its answer', async () => {
    const { stderr } = await minigpt(folder, ['chat', 'a.jpg', '--show-prompt'], 'What is this?\nWhy?\n');
    const prompts = stderr.split('\n').filter((line) => line.startsWith('minigpt: prompt '));
    expect(prompts).toHaveLength(2);
    expect(prompts[0]).toBe('minigpt: prompt "<image>Question: What is this? Answer:"');
  });

  test('a line that looks like a command is a question', async () => {
    const { stdout } = await minigpt(folder, ['chat', 'a.jpg'], '/quit\n');
    expect(records(stdout)).toMatchObject([{ question: '/quit' }]);
  });

  test('a question that is too long is reported, and the others are answered', async () => {
    const long = 'why '.repeat(300).trim();
    const { stdout, stderr, code } = await minigpt(folder, ['chat', 'a.jpg'], `What is this?\n${long}\nWhere?\n`);
    expect(records(stdout)).toMatchObject([
      { question: 'What is this?', answer: expect.any(String) },
      { schema: 1, image: 'a.jpg', question: long, error: { code: 'prompt-too-long' } },
      { question: 'Where?', answer: expect.any(String) },
    ]);
    expect(lastLine(stderr)).toMatch(/^minigpt: 2 questions answered, 1 failed, in /);
    expect(code).toBe(1);
  });

  test('goes on when it has become longer than the model reads, and says so once', async () => {
    const questions = Array.from({ length: 30 }, (_, index) => `What is to be seen in place number ${index} of it?`);
    const { stdout, stderr, code } = await minigpt(folder, ['chat', 'a.jpg', '--details'], questions.join('\n'));
    const written = records(stdout);
    expect(written).toHaveLength(30);
    expect(stderr.match(/longer than the model can read/g)).toHaveLength(1);
    const last = String(written.at(-1)?.['prompt']);
    expect(last).toMatch(/^<image>Question: /);
    expect(last).toContain('number 29 of it');
    expect(last).toContain('number 28 of it');
    expect(last).not.toContain('number 0 of it');
    expect(code).toBe(0);
  });
});

describe('a conversation that cannot begin', () => {
  test.each([
    ['missing.jpg', 'missing.jpg: there is no such file.'],
    ['broken.jpg', 'broken.jpg: '],
    ['.', '.: this is a folder, not an image file.'],
  ])('is refused with exit code 2: %s', async (image, message) => {
    writeFileSync(join(folder, 'broken.jpg'), 'no image');
    const { stdout, stderr, code } = await minigpt(folder, ['chat', image], 'What is this?\n');
    expect([stdout, code]).toEqual(['', 2]);
    expect(lastLine(stderr)).toContain(`minigpt: ${message}`);
  });

  test.each([
    [['chat'], "missing required argument 'image'"],
    [['chat', 'a.jpg', '--model', 'none'], 'there is no model called "none"'],
    [['chat', 'a.jpg', '--max-new-tokens', '300'], 'has room for 224 tokens after the image'],
    [['chat', 'a.jpg', '--min-new-tokens', '9', '--max-new-tokens', '8'], '--min-new-tokens 9 is more than'],
    [['chat', 'a.jpg', '--temperature', '2'], '--temperature 2 has no effect without sampling.'],
    [['chat', 'a.jpg', '--beams', '2'], "unknown option '--beams'"],
    [['chat', 'a.jpg', '--format', 'csv'], 'Allowed choices are text, jsonl.'],
    [['chat', 'a.jpg', 'b.jpg'], 'too many arguments'],
  ])('%j is refused with exit code 2', async (args, message) => {
    const { stdout, stderr, code } = await minigpt(folder, args, 'What is this?\n');
    expect([stdout, code]).toEqual(['', 2]);
    expect(lastLine(stderr)).toContain(message);
  });

  test('has nothing to say where no question comes', async () => {
    expect(await minigpt(folder, ['chat', 'a.jpg'], '\n \n')).toEqual({
      stdout: '',
      stderr: 'minigpt: standard input contains no question. Write one question per line.\n',
      code: 2,
    });
  });
});

describe.skipIf(process.platform === 'win32')('a conversation that does not reach its end', () => {
  test('is quiet and no failure when nobody reads it', async () => {
    const { stdout, stderr } = await shell(
      folder,
      'yes "What is this?" | head -300 | minigpt chat a.jpg 2> err.txt | head -1 > out.txt; echo "${PIPESTATUS[2]}"; cat err.txt',
    );
    expect([stdout, stderr]).toEqual(['0\n', '']);
  });

  test.each([
    ['SIGINT', 130, 'interrupted'],
    ['SIGTERM', 143, 'terminated'],
  ] as const)('%s between two questions leaves complete lines and ends with %i', async (signal, exitCode, word) => {
    const child = start(folder, ['chat', 'a.jpg']);
    const stderr = text(child.stderr);
    child.stdout.setEncoding('utf8');
    child.stdin.write('What is this?\n');
    const [written] = (await once(child.stdout, 'data')) as [string];
    child.kill(signal);
    expect(await exitStatus(child)).toBe(exitCode);
    expect(records(written)).toHaveLength(1);
    expect(await stderr).toBe(`minigpt: ${word}: 1 question answered, and every written line is complete.\n`);
  });
});

const hasScript = process.platform === 'linux' && existsSync('/usr/bin/script');

test.skipIf(!hasScript)('on a terminal questions are typed behind a prompt and can be saved', async () => {
  mkdirSync(join(folder, 'photos'));
  placePhoto(join(folder, 'photos/b.jpg'), 1);
  writeFileSync(
    join(folder, 'typed.txt'),
    'What is this?\n/image photos/b.jpg\nAnd this?\n/image none.jpg\n/save talk.jsonl\n/quit\n',
  );
  const { stdout } = await shell(
    folder,
    `script -qec '"${process.execPath}" "${BINARY}" chat a.jpg; echo "left with $?"' /dev/null < typed.txt; cat talk.jsonl`,
  );
  const seen = stripVTControlCharacters(stdout).replaceAll('\r', '');
  expect(seen).toContain('minigpt: talking about a.jpg with nano. /help lists the commands, Ctrl-D leaves.');
  expect(seen).toContain('> What is this?\n');
  expect(seen).toContain('minigpt: now talking about photos/b.jpg\n');
  expect(seen).toContain('minigpt: none.jpg: there is no such file.\n');
  expect(seen).toContain('minigpt: saved to talk.jsonl\n');
  expect(seen).toContain('left with 0\n');
  const saved = records(seen.slice(seen.indexOf('{"schema"')));
  expect(saved.map(({ image, question }) => [image, question])).toEqual([
    ['a.jpg', 'What is this?'],
    ['photos/b.jpg', 'And this?'],
  ]);
});
