/** A conversation about one image at a time, as a program uses it: the model works in a thread of its own, so the caller stays responsive. */
import { fromPlainError } from '../../threads/plain-error.ts';
import { Thread } from '../../threads/thread.ts';
import type { AnswerListener, ChatAnswer } from './conversation.ts';
import type { ChatEvent, ChatNotice, ChatRequest, ChatStart } from './messages.ts';

type ChatThread = Thread<ChatRequest, ChatEvent[], ChatNotice>;

export class ChatSession {
  readonly #thread: ChatThread;

  private constructor(thread: ChatThread) {
    this.#thread = thread;
  }

  /**
   * Loads a model. Close the session, or its thread keeps the process alive.
   *
   * @throws PackError when the pack cannot be loaded.
   */
  static async start(start: ChatStart): Promise<ChatSession> {
    const script = new URL('./worker.js', import.meta.url);
    const thread: ChatThread = new Thread({ script, name: 'the inference thread', data: start });
    await thread.ready;
    return new ChatSession(thread);
  }

  /**
   * Begins anew with another image. @param pixelValues [3, S, S], given away: its buffer moves to the thread.
   *
   * @throws ImageError when the model cannot be run on it; the conversation before it stays.
   */
  async showImage(pixelValues: Float32Array): Promise<void> {
    const events = await this.#thread.request({ type: 'image', pixelValues }, [pixelValues.buffer]);
    for (const event of events) if (event.type === 'failed') throw fromPlainError(event.error);
  }

  /** Begins anew with the same image. */
  async forgetTurns(): Promise<void> {
    await this.#thread.request({ type: 'forget' });
  }

  /**
   * Asks one question and waits for the whole answer; `listener` hears of it piece by piece. One question at a time.
   *
   * @param signal ends the answer early: it is then `interrupted`, and what was said stays a turn of the conversation
   * @throws ImageError when there is no answer (prompt-too-long, not-a-number, internal); the turns before it stay.
   */
  async ask(question: string, listener: AnswerListener, signal?: AbortSignal): Promise<ChatAnswer> {
    let events = this.#thread.request({ type: 'ask', question });
    const stop = (): void => this.#thread.tell({ type: 'stop' });
    if (signal?.aborted === true) stop();
    signal?.addEventListener('abort', stop);
    try {
      for (;;) {
        for (const event of await events) {
          const answer = hear(event, listener);
          if (answer !== undefined) return answer;
        }
        events = this.#thread.request({ type: 'next' });
      }
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  /** Ends the thread and frees its memory. An answer that is still awaited is rejected. */
  async close(): Promise<void> {
    await this.#thread.close();
  }
}

/** The answer, where the event is its end. */
function hear(event: ChatEvent, listener: AnswerListener): ChatAnswer | undefined {
  if (event.type === 'failed') throw fromPlainError(event.error);
  if (event.type === 'answered') return event.answer;
  if (event.type === 'prompt') listener.onPrompt(event.prompt, event.forgottenTurns);
  else listener.onText(event.piece);
  return undefined;
}
