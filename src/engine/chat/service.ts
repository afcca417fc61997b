/** A conversation behind a message port: one request after the other, and what happens meanwhile kept until it is asked for. */
import { ImageError } from '../../errors.ts';
import { toPlainError } from '../../threads/plain-error.ts';
import { internalError } from '../model-failures.ts';
import type { AnswerListener, Conversation } from './conversation.ts';
import type { ChatEvent, ChatRequest } from './messages.ts';

type Talk = Pick<Conversation, 'ask' | 'forgetTurns' | 'showImage'>;

export class ChatService {
  readonly #conversation: Talk;
  readonly #events: ChatEvent[] = [];
  /** Takes the next events: the request that waits for them. */
  #waiting: ((events: ChatEvent[]) => void) | undefined;
  #stop = new AbortController();
  #isWorking = false;
  #working: Promise<void> = Promise.resolve();

  constructor(conversation: Talk) {
    this.#conversation = conversation;
  }

  /**
   * Does what is asked.
   *
   * @returns what has happened since the last answer; of a question and of what follows it at least one event
   * @throws RangeError for a request that is not in its turn: a mistake of the caller, who would wait for ever or hear of another question.
   */
  async answer(request: ChatRequest): Promise<ChatEvent[]> {
    const isNext = request.type === 'next';
    if (this.#waiting !== undefined || (this.#isWorking && !isNext))
      throw new RangeError('a conversation takes one request after the other');
    switch (request.type) {
      case 'next':
        if (!this.#isWorking && this.#events.length === 0) throw new RangeError('nothing is happening to wait for');
        return this.#nextEvents();
      case 'ask': {
        const events = this.#nextEvents();
        this.#stop = new AbortController();
        const { signal } = this.#stop;
        this.#working = this.#work(async () => this.#ask(request.question, signal));
        return events;
      }
      case 'image':
        this.#working = this.#work(async () => {
          await this.#conversation.showImage(request.pixelValues);
          return undefined;
        });
        await this.#working;
        return this.#takeEvents();
      default:
        this.#conversation.forgetTurns();
        return this.#takeEvents();
    }
  }

  /** Ends the answer that is being written. */
  stop(): void {
    this.#stop.abort();
  }

  /** Ends after the run of a graph that is under way. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#working;
  }

  async #ask(question: string, signal: AbortSignal): Promise<ChatEvent> {
    const listener: AnswerListener = {
      onPrompt: (prompt, forgottenTurns) => this.#tell({ type: 'prompt', prompt, forgottenTurns }),
      onText: (piece) => this.#tell({ type: 'text', piece }),
    };
    return { type: 'answered', answer: await this.#conversation.ask(question, listener, signal) };
  }

  /** Tells how `work` ended, where it says so, and of every failure. */
  async #work(work: () => Promise<ChatEvent | undefined>): Promise<void> {
    this.#isWorking = true;
    let end: ChatEvent | undefined;
    try {
      end = await work();
    } catch (thrown) {
      const error = thrown instanceof ImageError ? thrown : internalError(thrown, 'the model could not be run');
      end = { type: 'failed', error: toPlainError(error) };
    }
    this.#isWorking = false;
    if (end !== undefined) this.#tell(end);
  }

  async #nextEvents(): Promise<ChatEvent[]> {
    if (this.#events.length > 0) return this.#takeEvents();
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  #tell(event: ChatEvent): void {
    this.#events.push(event);
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    this.#waiting = undefined;
    waiting(this.#takeEvents());
  }

  #takeEvents(): ChatEvent[] {
    return this.#events.splice(0);
  }
}
