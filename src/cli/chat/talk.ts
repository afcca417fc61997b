/** A conversation as records: which image it is about, how long an answer took, and the details of each answer. */
import { performance } from 'node:perf_hooks';
import type { ChatSession } from '../../engine/chat/session.ts';
import type { ChatAnswer } from '../../engine/chat/conversation.ts';
import type { AnswerPiece } from '../../engine/chat/streamed-answer.ts';
import { ImageError } from '../../errors.ts';
import type { AnswerRecord, RecordDetails } from '../../output/record.ts';
import type { Pack } from '../../pack/model-declaration.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** One answer. `stopped` marks one that the user stopped: it holds the text until then. */
export type ChatRecord = AnswerRecord & { stopped?: true };

export type TalkOptions = {
  pack: Pack;
  /** Reads an image file as the model's input. @throws ImageError */
  pixels: (path: string) => Promise<Float32Array>;
  details: boolean;
  showPrompt: boolean;
};

/** Throws the errors of `ChatSession`. Those about an image begin with its path. */
export class ChatTalk {
  readonly #session: Pick<ChatSession, 'ask' | 'forgetTurns' | 'showImage'>;
  readonly #terminal: Pick<Terminal, 'say'>;
  readonly #options: TalkOptions;
  #image = '';
  #toldOfForgetting = false;

  constructor(
    session: Pick<ChatSession, 'ask' | 'forgetTurns' | 'showImage'>,
    terminal: Pick<Terminal, 'say'>,
    options: TalkOptions,
  ) {
    this.#session = session;
    this.#terminal = terminal;
    this.#options = options;
  }

  /** The image of the conversation. */
  get image(): string {
    return this.#image;
  }

  /**
   * Starts a new conversation about this image.
   *
   * @throws ImageError when it cannot be read or the model cannot be run on it; the old conversation stays.
   */
  async showImage(path: string): Promise<void> {
    try {
      await this.#session.showImage(await this.#options.pixels(path));
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      throw new ImageError(error.code, `${path}: ${error.message}`, { cause: error });
    }
    this.#image = path;
    this.#toldOfForgetting = false;
  }

  /** Starts a new conversation about the same image. */
  async reset(): Promise<void> {
    await this.#session.forgetTurns();
    this.#toldOfForgetting = false;
  }

  /**
   * @param onText gets the pieces of the answer while it is written
   * @param signal ends the answer early
   * @throws ImageError when there is no answer.
   */
  async ask(question: string, onText: (piece: AnswerPiece) => void, signal: AbortSignal): Promise<ChatRecord> {
    const began = performance.now();
    let prompt = '';
    const listener = {
      onPrompt: (text: string, forgottenTurns: number) => {
        prompt = text;
        this.#tellOfPrompt(text, forgottenTurns);
      },
      onText,
    };
    const answer = await this.#session.ask(question, listener, signal);
    return {
      schema: 1,
      image: this.#image,
      question,
      answer: answer.text,
      ...(answer.finishReason === 'interrupted' ? { stopped: true as const } : {}),
      ...(this.#options.details ? this.#detailsOf(answer, prompt, (performance.now() - began) / 1000) : {}),
    };
  }

  #tellOfPrompt(prompt: string, forgottenTurns: number): void {
    if (forgottenTurns > 0 && !this.#toldOfForgetting) {
      this.#toldOfForgetting = true;
      this.#terminal.say(
        'the conversation is now longer than the model can read. From here on, the model forgets the oldest questions, but not the image.',
      );
    }
    // In quotes, because a space at its end matters and would not be visible.
    if (this.#options.showPrompt) this.#terminal.say(`prompt ${JSON.stringify(prompt)}`);
  }

  #detailsOf({ tokenIds, finishReason, score }: ChatAnswer, prompt: string, seconds: number): Partial<RecordDetails> {
    const { declaration, digest } = this.#options.pack;
    return {
      model: `${declaration.id}@${digest.slice(0, 12)}`,
      prompt,
      tokenIds,
      ...(finishReason === 'interrupted' ? {} : { finishReason }),
      score,
      seconds: Math.round(seconds * 1000) / 1000,
    };
  }
}
