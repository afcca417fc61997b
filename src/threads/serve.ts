/** The other end of `Thread`: what the entries of all threads have in common. */
import { parentPort, workerData } from 'node:worker_threads';
import type { FromThread, ToThread } from './messages.ts';
import { toPlainError } from './plain-error.ts';

/** What a thread is for, once it is loaded. */
export type Served<Request, Answer, Notice = never> = {
  /** What it throws is what the request is refused with. */
  answer(request: Request): Promise<Answer>;
  /** Takes what needs no answer. */
  hear?(notice: Notice): void;
  /** Ends it after what is under way, and frees its memory. What is not answered by then need not be. */
  close(): Promise<void>;
};

export type Serving<Answer> = {
  /** The buffers of an answer that are given away instead of copied; none where it is absent. */
  buffersOf?: (answer: Answer) => readonly ArrayBufferLike[];
  /** Whether a request waits until the one before it is answered, and its buffers are given away; else requests overlap. */
  oneByOne?: boolean;
};

/**
 * Loads what the thread is for, and serves it until the owner closes it.
 *
 * @param load gets what the thread was started with
 */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- what crosses between threads has no types but those stated here
export function serve<Start, Request, Answer, Notice = never>(
  load: (start: Start) => Promise<Served<Request, Answer, Notice>>,
  { buffersOf = () => [], oneByOne = false }: Serving<Answer> = {},
): void {
  const port = parentPort;
  if (port === null) throw new Error('the entry of a thread runs as a worker thread only');
  const send = (message: FromThread<Answer>, buffers: readonly ArrayBufferLike[] = []): void => {
    port.postMessage(
      message,
      buffers.filter((buffer) => buffer instanceof ArrayBuffer),
    );
  };
  const answer = async (served: Served<Request, Answer, Notice>, id: number, request: Request): Promise<void> => {
    try {
      const given = await served.answer(request);
      send({ type: 'answered', id, answer: given }, buffersOf(given));
    } catch (error) {
      send({ type: 'refused', id, error: toPlainError(error) });
    }
  };
  const end = async (served: Served<Request, Answer, Notice>): Promise<void> => {
    await served.close();
    port.close();
  };
  const begin = async (): Promise<void> => {
    const served = await load(workerData as Start);
    let before = Promise.resolve();
    port.on('message', (message: ToThread<Request, Notice>) => {
      if (message.type === 'notice') served.hear?.(message.notice);
      else if (message.type === 'close') before = before.then(async () => end(served));
      else if (oneByOne) before = before.then(async () => answer(served, message.id, message.request));
      else void answer(served, message.id, message.request);
    });
    send({ type: 'ready' });
  };
  // Which request it was is not known, so the thread ends and its owner gives all of them up.
  port.on('messageerror', (error) => {
    throw error;
  });
  begin().catch((error: unknown) => {
    send({ type: 'failed', error: toPlainError(error) });
    port.close();
  });
}
