/**
 * A conversation on a terminal: the user types questions at a prompt, and answers appear while they are written.
 *
 * Ctrl-C is a key here, not a signal: it stops an answer, and at the prompt it leaves when pressed twice. Ctrl-D ends the input: questions
 * that were typed before are still answered, and from then on Ctrl-C is a signal.
 */
import { createInterface, type Interface } from 'node:readline';
import { ImageError, OutputError, UsageError } from '../../errors.ts';
import { CHAT_HELP, readChatInput } from './input.ts';
import type { ChatRecord, ChatTalk } from './talk.ts';
import { EXIT } from '../exit-codes.ts';
import { LineQueue } from './line-queue.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printableLines, saveTranscript } from './transcript.ts';

export type ChatScreen = {
  /** Keys as they are pressed. */
  input: NodeJS.ReadableStream;
  output: NodeJS.WritableStream;
  /** Where messages go that are not answers. */
  messages: Pick<Terminal, 'say' | 'trace'>;
  /** Whether an error is followed by its stack trace. */
  debug: boolean;
  /** Ends the process without waiting for the model, which is busy. */
  leaveAtOnce: () => void;
};

export class TerminalChat {
  readonly #talk: Pick<ChatTalk, 'ask' | 'image' | 'reset' | 'showImage'>;
  readonly #screen: ChatScreen;
  readonly #lines = new LineQueue();
  #records: ChatRecord[] = [];
  /** The answer that is being written. */
  #answering: AbortController | undefined;
  /** Ctrl-C was the last thing pressed at the prompt. */
  #isLeaving = false;
  #exitCode: number = EXIT.ok;

  constructor(talk: Pick<ChatTalk, 'ask' | 'image' | 'reset' | 'showImage'>, screen: ChatScreen) {
    this.#talk = talk;
    this.#screen = screen;
  }

  /**
   * Talks until the user leaves or `signal` is aborted.
   *
   * @returns the exit code
   * @throws the error that keeps the model from continuing; the signal's reason when aborted.
   */
  async run(signal: AbortSignal): Promise<number> {
    const { input, output } = this.#screen;
    const keys = createInterface({ input, output, terminal: true, prompt: '> ' });
    const stop = (): void => {
      this.#lines.clear();
      this.#answering?.abort();
      keys.close();
    };
    keys.on('line', (line) => this.#lines.push(line));
    keys.on('SIGINT', () => this.#onInterrupt(keys));
    keys.on('close', () => this.#lines.end());
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    try {
      for (;;) {
        if (!this.#lines.hasEnded) keys.prompt(true);
        const line = await this.#lines.next();
        if (line === undefined || !(await this.#handle(line))) break;
      }
    } finally {
      signal.removeEventListener('abort', stop);
      keys.close();
    }
    signal.throwIfAborted();
    return this.#exitCode;
  }

  /** Does what a line asks for. Returns whether the conversation continues. */
  async #handle(line: string): Promise<boolean> {
    this.#isLeaving = false;
    const typed = readChatInput(line);
    try {
      switch (typed.kind) {
        case 'question':
          await this.#answer(typed.question);
          break;
        case 'image':
          await this.#talk.showImage(typed.path);
          this.#screen.messages.say(`now talking about ${typed.path}`);
          break;
        case 'save':
          await saveTranscript(typed.path, this.#records);
          this.#screen.messages.say(`saved to ${typed.path}`);
          break;
        case 'reset':
          await this.#talk.reset();
          this.#records = [];
          this.#screen.messages.say('started a new conversation');
          break;
        case 'mistake':
          this.#screen.messages.say(typed.message);
          break;
        case 'help':
          this.#screen.output.write(CHAT_HELP);
          break;
        case 'quit':
          return false;
        case 'nothing':
      }
    } catch (error) {
      // The conversation continues when a question, an image or a file fails. Without its model it cannot.
      const isHarmless = error instanceof ImageError || error instanceof UsageError || error instanceof OutputError;
      if (!isHarmless) throw error;
      this.#screen.messages.say(error.message);
      if (this.#screen.debug) this.#screen.messages.trace(error);
    }
    return true;
  }

  async #answer(question: string): Promise<void> {
    const { output } = this.#screen;
    this.#answering = new AbortController();
    let isLineOpen = false;
    try {
      const record = await this.#talk.ask(
        question,
        ({ text, replaces }) => {
          output.write(`${replaces && isLineOpen ? '\n' : ''}${printableLines(text)}`);
          isLineOpen = true;
        },
        this.#answering.signal,
      );
      this.#records.push(record);
      if (record.stopped === true) output.write(`${isLineOpen ? ' ' : ''}(stopped)`);
      else if (record.answer === '') output.write('(no answer)');
      output.write('\n');
    } catch (error) {
      if (isLineOpen) output.write('\n');
      throw error;
    } finally {
      this.#answering = undefined;
    }
  }

  #onInterrupt(keys: Interface): void {
    if (this.#answering !== undefined) {
      if (this.#answering.signal.aborted) {
        keys.close();
        this.#screen.leaveAtOnce();
      }
      this.#answering.abort();
    } else if (keys.line !== '') {
      // As in shells: discard what was typed.
      keys.write(null, { ctrl: true, name: 'e' });
      this.#screen.output.write('^C\n');
      keys.write(null, { ctrl: true, name: 'u' });
    } else if (this.#isLeaving) {
      this.#exitCode = EXIT.interrupted;
      keys.close();
      this.#screen.output.write('\n');
      this.#screen.messages.say('interrupted.');
    } else {
      this.#isLeaving = true;
      this.#screen.output.write('\n(press Ctrl-C again or Ctrl-D to leave)\n');
      keys.prompt();
    }
  }
}
