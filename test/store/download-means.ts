/** The means of a download for tests: no time passes, and everything that would be shown is remembered. */
import { HttpClient, type HttpOptions } from '../../src/store/download/http-client.ts';
import type { DownloadMeans, DownloadObserver } from '../../src/store/download/download.ts';

export class RememberingObserver implements DownloadObserver {
  readonly notes: string[] = [];
  readonly started: string[] = [];
  planned = 0;
  done = 0;

  note(text: string): void {
    this.notes.push(text);
  }

  plan(bytes: number): void {
    this.planned += bytes;
  }

  start(name: string, present: number, total: number): void {
    this.started.push(`${name}: ${present} of ${total}`);
  }

  advance(bytes: number): void {
    this.done += bytes;
  }
}

export type TestMeans = DownloadMeans & { observer: RememberingObserver; pauses: number[] };

/** @param wait Called for each pause, which takes no time. */
export function makeMeans(
  options: HttpOptions & { signal?: AbortSignal; free?: number; wait?: () => Promise<void> } = {},
): TestMeans {
  const pauses: number[] = [];
  const { signal, free, wait } = options;
  return {
    http: new HttpClient(options),
    observer: new RememberingObserver(),
    pauses,
    signal,
    wait: async (milliseconds, pauseSignal) => {
      pauses.push(milliseconds);
      await wait?.();
      pauseSignal?.throwIfAborted();
    },
    ...(free !== undefined && { freeBytes: async () => free }),
  };
}
