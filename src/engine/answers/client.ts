/** The main thread's end of a thread that writes answers. */
import { ImageError } from '../../errors.ts';
import type { GeneratedAnswer } from './follow-up.ts';
import type { Answered } from './loop.ts';
import type { AnswerRequest, WorkerStart } from './messages.ts';
import { InferenceThread } from '../threads/inference-thread.ts';

export class InferenceClient {
  readonly #thread: InferenceThread<Answered>;

  private constructor(thread: InferenceThread<Answered>) {
    this.#thread = thread;
  }

  /**
   * Starts the thread and waits until the model is loaded.
   *
   * @throws MinigptError when the pack cannot be loaded.
   */
  static async start(start: WorkerStart): Promise<InferenceClient> {
    return new InferenceClient(await InferenceThread.start<Answered>(new URL('./worker.js', import.meta.url), start));
  }

  /** Images whose answers are still awaited. */
  get openRequests(): number {
    return this.#thread.openRequests;
  }

  /** Answers every prompt about one image. `pixelValues` is given away. */
  async answer(request: Omit<AnswerRequest, 'id'>): Promise<(GeneratedAnswer | ImageError)[]> {
    const { results } = await this.#thread.request(request, [request.pixelValues.buffer]);
    return results.map((result) =>
      'error' in result ? new ImageError(result.error.code, result.error.message) : result,
    );
  }

  /** Ends the thread after the run that is under way, and frees its memory. Open requests are rejected. */
  async close(): Promise<void> {
    await this.#thread.close();
  }
}
