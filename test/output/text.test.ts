import { expect, test } from 'vitest';
import { text } from '../../src/output/text.ts';

test('a caption follows its image', () => {
  expect(text.encode({ schema: 1, image: 'photos/a.jpg', caption: 'a dog runs' })).toBe('photos/a.jpg: a dog runs\n');
});

test('an answer follows its question', () => {
  expect(text.encode({ schema: 1, image: 'a.jpg', question: 'Who is it?', answer: 'a dog' })).toBe(
    'a.jpg: Who is it? a dog\n',
  );
});

test('the choices follow an answer, likeliest first, in quotes where one holds a comma', () => {
  const scores = [
    { choice: 'yes', score: -2, logProbability: -4, tokens: 2, probability: 0.268 },
    { choice: 'no, never', score: -1, logProbability: -3, tokens: 3, probability: 0.732 },
  ];
  expect(text.encode({ schema: 1, image: 'a.jpg', question: 'A dog?', answer: 'no, never', scores })).toBe(
    'a.jpg: A dog? no, never  ("no, never" 73 %, yes 27 %)\n',
  );
});

test('a description follows its instruction where there are several', () => {
  const record = { schema: 1, image: 'a.jpg', instruction: 'Tell me more.' } as const;
  expect(text.encode({ ...record, caption: 'a dog runs' })).toBe('a.jpg: Tell me more. a dog runs\n');
  const error = { code: 'empty-file', message: 'the file is empty.' } as const;
  expect(text.encode({ ...record, error })).toBe('a.jpg: Tell me more.: error: the file is empty.\n');
});

test('a text follows its image with both scores; where images are ranked for a text, it leads', () => {
  const match = { schema: 1, image: 'a.jpg', text: 'a dog', itm: 0.966, itc: -0.414 } as const;
  expect(text.encode(match)).toBe('a.jpg: a dog  itm 97 %  itc -0.41\n');
  expect(text.encode({ ...match, rank: 2 })).toBe('a dog: 2. a.jpg  itm 97 %  itc -0.41\n');
});

test('a failure has its line, with the question it was asked', () => {
  const error = { code: 'empty-file', message: 'the file is empty.' } as const;
  expect(text.encode({ schema: 1, image: 'a.jpg', error })).toBe('a.jpg: error: the file is empty.\n');
  expect(text.encode({ schema: 1, image: 'a.jpg', question: 'Who?', error })).toBe(
    'a.jpg: Who?: error: the file is empty.\n',
  );
  expect(text.encode({ schema: 1, image: 'a.jpg', text: 'a dog', error })).toBe(
    'a.jpg: a dog: error: the file is empty.\n',
  );
});

test('a line break in a name, a question or a caption does not make two lines', () => {
  const line = text.encode({ schema: 1, image: 'a\nb.jpg', question: 'x\ry', answer: '1\u2028\u001b[2J2' });
  expect(line).toBe('a\\nb.jpg: x\\ry 1\\u2028\\x1b[2J2\n');
});
