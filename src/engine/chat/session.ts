/** A conversation about one image at a time, as a program uses it: the model works in a thread of its own, so the caller stays responsive. */
import { ImageError } from '../../errors.ts';
import type { ChatEvent, ChatReply, ChatRequest, ChatStart } from './messages.ts';
import type { AnswerListener, ChatAnswer } from './conversation.ts';
import { InferenceThread } from '../threads/inference-thread.ts';

export class ChatSession {
  readonly #thread: InferenceThread<ChatReply>;

  private constructor(thread: InferenceThread<ChatReply>) {
    this.#thread = thread;
  }

  /**
   * Loads a model. Close the session, or its thread keeps the process alive.
   *
   * @throws MinigptError when the pack cannot be loaded.
   */
  static async start(start: ChatStart): Promise<ChatSession> {
    return new ChatSession(await InferenceThread.start<ChatReply>(new URL('./worker.js', import.meta.url), start));
  }

  /**
   * Begins anew with another image. @param pixelValues [3, S, S], given away: its buffer moves to the thread.
   *
   * @throws ImageError when the model cannot be run on it; the conversation before it stays.
   */
  async showImage(pixelValues: Float32Array): Promise<void> {
    const { events } = await this.#request({ type: 'image', pixelValues }, [pixelValues.buffer]);
    for (const event of events) if (event.type === 'failed') throw new ImageError(event.code, event.message);
  }

  /** Begins anew with the same image. */
  async forgetTurns(): Promise<void> {
    await this.#request({ type: 'forget' });
  }

  /**
   * Asks one question and waits for the whole answer; `listener` hears of it piece by piece. One question at a time.
   *
   * @param signal ends the answer early: it is then `interrupted`, and what was said stays a turn of the conversation
   * @throws ImageError when there is no answer (prompt-too-long, not-a-number, internal); the turns before it stay.
   */
  async ask(question: string, listener: AnswerListener, signal?: AbortSignal): Promise<ChatAnswer> {
    let reply = this.#request({ type: 'ask', question });
    const stop = (): void => this.#thread.tell({ type: 'stop' } satisfies ChatRequest);
    if (signal?.aborted === true) stop();
    signal?.addEventListener('abort', stop);
    try {
      for (;;) {
        for (const event of (await reply).events) {
          const answer = hear(event, listener);
          if (answer !== undefined) return answer;
        }
        reply = this.#request({ type: 'next' });
      }
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  /** Ends the thread and frees its memory. An answer that is still awaited is rejected. */
  async close(): Promise<void> {
    await this.#thread.close();
  }

  async #request(request: RequestContent, transfer: readonly ArrayBufferLike[] = []): Promise<ChatReply> {
    return this.#thread.request(request, transfer);
  }
}

type WithoutId<Request> = Request extends { id: number } ? Omit<Request, 'id'> : never;
type RequestContent = WithoutId<ChatRequest>;

/** The answer, where the event is its end. */
function hear(event: ChatEvent, listener: AnswerListener): ChatAnswer | undefined {
  if (event.type === 'failed') throw new ImageError(event.code, event.message);
  if (event.type === 'answered') return event.answer;
  if (event.type === 'prompt') listener.onPrompt(event.prompt, event.forgottenTurns);
  else listener.onText(event.piece);
  return undefined;
}
