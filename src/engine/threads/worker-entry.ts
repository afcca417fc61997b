/** The other end of `InferenceThread`: what the entries of all threads that compute have in common. */
import { parentPort, workerData } from 'node:worker_threads';
import type { ThreadMessage } from './inference-thread.ts';

/** A loaded model that takes requests. `close` ends it after the run that is under way, and frees its memory. */
export type Served<Request> = { add(request: Request): void; close(): Promise<void> };

/**
 * Loads a model and serves it until the main thread closes it.
 *
 * @param load gets what the thread was started with, and a way to send answers
 */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- what crosses between threads has no types but those stated here
export function serve<Start, Request, Answered extends { id: number }>(
  load: (start: Start, send: (answered: Answered) => void) => Promise<Served<Request>>,
): void {
  const port = parentPort;
  if (port === null) throw new Error('the entry of an inference thread runs as a worker thread only');
  const send = (message: ThreadMessage<Answered>): void => port.postMessage(message);
  const end = async (served: Served<Request>): Promise<void> => {
    await served.close();
    send({ type: 'closed' });
    port.close();
  };
  const begin = async (): Promise<void> => {
    const served = await load(workerData as Start, (answered) => send({ type: 'answered', ...answered }));
    port.on('message', (message: Request | { type: 'close' }) => {
      if (isClose(message)) void end(served);
      else served.add(message);
    });
    send({ type: 'ready' });
  };
  begin().catch((error: unknown) => {
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    send({ type: 'failed', message, stack });
    port.close();
  });
}

function isClose(message: unknown): message is { type: 'close' } {
  return typeof message === 'object' && message !== null && 'type' in message && message.type === 'close';
}
