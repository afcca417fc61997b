/** A conversation behind a message port: one request after the other, and what happens meanwhile kept until it is asked for. */
import { ImageError } from '../../errors.ts';
import type { ChatEvent, ChatReply, ChatRequest } from './messages.ts';
import type { Conversation } from './conversation.ts';
import { internalError } from '../model-failures.ts';

type Talk = Pick<Conversation, 'ask' | 'forgetTurns' | 'showImage'>;

export class ChatService {
  readonly #conversation: Talk;
  readonly #send: (reply: ChatReply) => void;
  #events: ChatEvent[] = [];
  /** The request that waits for events. */
  #waiting: number | undefined;
  #stop = new AbortController();
  #working: Promise<void> = Promise.resolve();

  constructor(conversation: Talk, send: (reply: ChatReply) => void) {
    this.#conversation = conversation;
    this.#send = send;
  }

  add(request: ChatRequest): void {
    switch (request.type) {
      case 'stop':
        this.#stop.abort();
        break;
      case 'next':
        this.#await(request.id);
        break;
      case 'ask':
        this.#await(request.id);
        this.#stop = new AbortController();
        this.#working = this.#guard(async () => this.#ask(request.question, this.#stop.signal));
        break;
      case 'image':
        this.#working = this.#guard(async () => this.#conversation.showImage(request.pixelValues)).then(() =>
          this.#reply(request.id),
        );
        break;
      case 'forget':
        this.#conversation.forgetTurns();
        this.#reply(request.id);
    }
  }

  /** Ends after the run of a graph that is under way. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#working;
  }

  async #ask(question: string, signal: AbortSignal): Promise<void> {
    const listener = {
      onPrompt: (prompt: string, forgottenTurns: number) => this.#tell({ type: 'prompt', prompt, forgottenTurns }),
      onText: (piece: Extract<ChatEvent, { type: 'text' }>['piece']) => this.#tell({ type: 'text', piece }),
    };
    this.#tell({ type: 'answered', answer: await this.#conversation.ask(question, listener, signal) });
  }

  async #guard(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const { code, message } =
        error instanceof ImageError ? error : internalError(error, 'the model could not be run');
      this.#tell({ type: 'failed', code, message });
    }
  }

  #await(id: number): void {
    this.#waiting = id;
    this.#flush();
  }

  #tell(event: ChatEvent): void {
    this.#events.push(event);
    this.#flush();
  }

  #flush(): void {
    if (this.#waiting !== undefined && this.#events.length > 0) this.#reply(this.#waiting);
  }

  #reply(id: number): void {
    this.#waiting = undefined;
    const events = this.#events;
    this.#events = [];
    this.#send({ id, events });
  }
}
