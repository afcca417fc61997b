import { expect, test } from 'vitest';
import { CHAT_HELP, readChatInput } from '../../../src/cli/chat/input.ts';

test.each([
  ['What is this?', { kind: 'question', question: 'What is this?' }],
  ['  What is this? ', { kind: 'question', question: 'What is this?' }],
  [' /etc is a folder?', { kind: 'question', question: '/etc is a folder?' }],
  ['', { kind: 'nothing' }],
  ['   ', { kind: 'nothing' }],
  ['/help', { kind: 'help' }],
  ['/reset ', { kind: 'reset' }],
  ['/quit', { kind: 'quit' }],
  ['/image a b.jpg', { kind: 'image', path: 'a b.jpg' }],
  ["/image 'a b.jpg' ", { kind: 'image', path: 'a b.jpg' }],
  ['/save "x.txt"', { kind: 'save', path: 'x.txt' }],
  ["/save it's.txt", { kind: 'save', path: "it's.txt" }],
])('%j means %j', (line, expected) => {
  expect(readChatInput(line)).toEqual(expected);
});

test.each([
  ['/images a.jpg', 'unknown command /images. /help lists the commands.'],
  ['/', 'unknown command /. /help lists the commands.'],
  ['/toString', 'unknown command /toString. /help lists the commands.'],
  ['/image', '/image needs the path of a file.'],
  ['/save ', '/save needs the path of a file.'],
  ['/reset all', '/reset is used alone, without any text after it.'],
])('%j is told to be a mistake', (line, message) => {
  expect(readChatInput(line)).toEqual({ kind: 'mistake', message });
});

test.each(['reset', 'image', 'save', 'help', 'quit'])('the help names /%s', (command) => {
  expect(CHAT_HELP).toContain(`/${command}`);
  expect(readChatInput(`/${command} x`)).not.toMatchObject({ message: expect.stringContaining('there is no command') });
});
