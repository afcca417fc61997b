import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { beforeEach, describe, expect, test } from 'vitest';
import { TerminalChat } from '../../../src/cli/chat/terminal-chat.ts';
import type { ChatRecord } from '../../../src/cli/chat/talk.ts';
import { Terminal } from '../../../src/cli/terminal/terminal.ts';
import type { AnswerPiece } from '../../../src/engine/chat/streamed-answer.ts';
import { ImageError, MinigptError } from '../../../src/errors.ts';
import { records, temporaryFolder } from '../binary.ts';
import { Recorder } from '../terminal/screen.ts';

const CTRL_C = '\u0003';
const CTRL_D = '\u0004';

/** An answer that a test writes piece by piece. */
type OpenAnswer = {
  question: string;
  say: (piece: Partial<AnswerPiece>) => void;
  end: (stopped?: true) => void;
  fail: (error: Error) => void;
};

class FakeTalk {
  image = 'a.jpg';
  asked: OpenAnswer[] = [];
  resets = 0;

  async ask(question: string, onText: (piece: AnswerPiece) => void, signal: AbortSignal): Promise<ChatRecord> {
    let answer = '';
    return new Promise((resolve, reject) => {
      const end = (stopped?: true): void =>
        resolve({ schema: 1, image: this.image, question, answer, ...(stopped === true ? { stopped } : {}) });
      signal.addEventListener('abort', () => end(true));
      this.asked.push({
        question,
        say: ({ text = '', replaces = false }) => {
          answer = replaces ? text : answer + text;
          onText({ text, replaces });
        },
        end,
        fail: reject,
      });
    });
  }

  async showImage(path: string): Promise<void> {
    if (path === 'broken.jpg') throw new ImageError('unreadable-image', 'broken.jpg: it is broken.');
    this.image = path;
  }

  async reset(): Promise<void> {
    this.resets++;
  }
}

let input: PassThrough;
let output: Recorder;
let messages: Recorder;
let talk: FakeTalk;
let left: number;
let abort: AbortController;
let ended: Promise<number>;

beforeEach(() => {
  input = new PassThrough();
  output = new Recorder();
  messages = new Recorder();
  talk = new FakeTalk();
  left = 0;
  abort = new AbortController();
  const chat = new TerminalChat(talk, {
    input,
    output,
    messages: new Terminal(messages),
    debug: false,
    leaveAtOnce: () => left++,
  });
  ended = chat.run(abort.signal);
  ended.catch(() => undefined);
});

/** What a person sees, without the sequences that move the cursor. */
function seen(): string {
  return stripVTControlCharacters(output.text).replaceAll('\r\n', '\n');
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

async function type(keys: string): Promise<void> {
  input.write(keys);
  await new Promise((resolve) => setImmediate(resolve));
}

/** Types a question and waits until it is asked. */
async function ask(question: string): Promise<OpenAnswer> {
  const before = talk.asked.length;
  input.write(`${question}\r`);
  await until(() => talk.asked.length > before);
  return talk.asked[before] as OpenAnswer;
}

const prompts = (): number => seen().split('> ').length - 1;

describe('a conversation on a terminal', () => {
  test('shows an answer while it is written, and asks for the next question when it is complete', async () => {
    const answer = await ask('What is this?');
    expect(seen()).toBe('> What is this?\n');
    answer.say({ text: 'a' });
    answer.say({ text: ' dog 😀' });
    expect(seen()).toBe('> What is this?\na dog 😀');
    answer.end();
    await until(() => prompts() === 2);
    expect(seen()).toBe('> What is this?\na dog 😀\n> ');
  });

  test('shows control characters of an answer as what they are, and its lines as lines', async () => {
    const answer = await ask('What is this?');
    answer.say({ text: 'a\u001b[2J\ndog' });
    answer.end();
    await until(() => prompts() === 2);
    expect(seen()).toBe('> What is this?\na\\x1b[2J\ndog\n> ');
  });

  test('shows an answer anew that the model took back', async () => {
    const answer = await ask('What is this?');
    answer.say({ text: 'Human: x' });
    answer.say({ text: 'a dog', replaces: true });
    answer.end();
    await until(() => prompts() === 2);
    expect(seen()).toBe('> What is this?\nHuman: x\na dog\n> ');
  });

  test('says so where the model says nothing', async () => {
    (await ask('What is this?')).end();
    await until(() => prompts() === 2);
    expect(seen()).toBe('> What is this?\n(no answer)\n> ');
  });

  test('Ctrl-C stops the answer and not the program', async () => {
    const answer = await ask('What is this?');
    answer.say({ text: 'a long' });
    await type(CTRL_C);
    await until(() => prompts() === 2);
    expect(seen()).toBe('> What is this?\na long (stopped)\n> ');
    const next = await ask('Where?');
    next.say({ text: 'there' });
    next.end();
    await until(() => prompts() === 3);
    await type(CTRL_D);
    expect(await ended).toBe(0);
    expect(left).toBe(0);
  });

  test('a second Ctrl-C leaves at once where the model cannot stop so soon', async () => {
    talk.ask = async () => new Promise(() => talk.asked.push({} as OpenAnswer));
    await ask('What is this?');
    await type(CTRL_C);
    expect(left).toBe(0);
    await type(CTRL_C);
    expect(left).toBe(1);
  });

  test('Ctrl-C at an empty prompt asks to press it again, and then leaves with 130', async () => {
    await type(CTRL_C);
    expect(seen()).toBe('> \n(press Ctrl-C again or Ctrl-D to leave)\n> ');
    await type(CTRL_C);
    expect(await ended).toBe(130);
    expect(messages.lines.at(-1)).toBe('minigpt: interrupted.');
  });

  test('a question between two Ctrl-C means that the user has changed their mind', async () => {
    await type(CTRL_C);
    (await ask('What is this?')).end();
    await until(() => prompts() === 3);
    await type(CTRL_C);
    await type(`/quit\r`);
    expect(await ended).toBe(0);
  });

  test('Ctrl-C gives up what was typed', async () => {
    await type(`What${CTRL_C}`);
    const answer = await ask('Who?');
    expect(answer.question).toBe('Who?');
    expect(left).toBe(0);
  });

  test.each([CTRL_D, '/quit\r'])('%j leaves with 0', async (keys) => {
    await type(keys);
    expect(await ended).toBe(0);
  });

  test('Ctrl-D in the middle of an answer leaves with 0 when everything typed is answered', async () => {
    const answer = await ask('What is this?');
    await type('Where?\r');
    await type(CTRL_D);
    answer.say({ text: 'a dog' });
    answer.end();
    await until(() => talk.asked.length === 2);
    talk.asked[1]?.say({ text: 'here' });
    talk.asked[1]?.end();
    expect(await ended).toBe(0);
    expect(seen()).toBe('> What is this?\nWhere?\na dog\nhere\n');
  });

  test('an abort from outside stops the answer and asks nothing more', async () => {
    const answer = await ask('What is this?');
    answer.say({ text: 'a' });
    await type('Where?\r');
    abort.abort(new Error('terminated'));
    await expect(ended).rejects.toThrow('terminated');
    expect(talk.asked).toHaveLength(1);
    expect(seen()).toBe('> What is this?\naWhere?\n (stopped)\n');
  });

  test('an abort from outside ends the prompt with its reason', async () => {
    abort.abort(new Error('terminated'));
    await expect(ended).rejects.toThrow('terminated');
  });

  test('an error is told, and the conversation goes on', async () => {
    const answer = await ask('What is this?');
    answer.say({ text: 'a' });
    answer.fail(new ImageError('not-a-number', 'the model computed nonsense.'));
    await until(() => prompts() === 2);
    expect(messages.lines).toEqual(['minigpt: the model computed nonsense.']);
    expect(seen()).toBe('> What is this?\na\n> ');
  });

  test.each([new TypeError('a bug'), new MinigptError('the inference thread broke down')])(
    '%s ends it',
    async (error) => {
      (await ask('What is this?')).fail(error);
      await expect(ended).rejects.toBe(error);
    },
  );

  test('/image changes the image, or keeps it where the new one cannot be read', async () => {
    await type('/image broken.jpg\r');
    await until(() => messages.lines.length === 1);
    await type('/image "b b.jpg"\r');
    await until(() => messages.lines.length === 2);
    expect(messages.lines).toEqual(['minigpt: broken.jpg: it is broken.', 'minigpt: now talking about b b.jpg']);
    expect(talk.image).toBe('b b.jpg');
  });

  test('/help lists the commands, and a mistake is told', async () => {
    await type('/help\r');
    await until(() => prompts() === 2);
    expect(seen()).toContain('/save FILE');
    await type('/frob\r');
    await until(() => messages.lines.length === 1);
    expect(messages.lines).toEqual(['minigpt: unknown command /frob. /help lists the commands.']);
  });

  test('/save writes what was said since the conversation was begun anew, and overwrites nothing', async () => {
    const path = join(temporaryFolder(), 'talk.jsonl');
    (await ask('forgotten?')).end();
    await until(() => prompts() === 2);
    await type('/reset\r');
    await until(() => messages.lines.length === 1);
    expect(talk.resets).toBe(1);
    await type(`/save ${path}\r`);
    await until(() => messages.lines.length === 2);
    expect(existsSync(path)).toBe(false);
    const answer = await ask('What is this?');
    answer.say({ text: 'a dog' });
    await type(CTRL_C);
    await until(() => prompts() === 5);
    const expected = [{ schema: 1, image: 'a.jpg', question: 'What is this?', answer: 'a dog', stopped: true }];
    for (const _ of [1, 2]) {
      const before = messages.lines.length;
      await type(`/save ${path}\r`);
      await until(() => messages.lines.length > before);
      expect(records(readFileSync(path, 'utf8'))).toEqual(expected);
    }
    expect(messages.lines.slice(1)).toEqual([
      'minigpt: there is nothing to save yet. Ask a question first.',
      `minigpt: saved to ${path}`,
      `minigpt: ${path}: the file exists and is not empty. Choose another name or move it away.`,
    ]);
  });

  test('lines that are typed in advance are asked one after the other', async () => {
    const first = await ask('One?');
    await type('Two?\r');
    expect(talk.asked).toHaveLength(1);
    first.end();
    await until(() => talk.asked.length === 2);
    expect(talk.asked[1]?.question).toBe('Two?');
  });
});
