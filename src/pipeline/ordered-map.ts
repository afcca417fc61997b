/**
 * Many tasks at once, their results in the order of the items.
 *
 * A task counts against the window from its start until its result is taken. So one slow item holds back at most `window - 1` finished
 * results behind it, however many items follow, and a slow consumer holds back the tasks.
 */
import { setMaxListeners } from 'node:events';
import { abortable } from './abortable.ts';

/**
 * Runs `task` for each item and yields the results in the order of the items.
 *
 * A rejected task is thrown at its place, after every earlier result, and ends the run. The signal a task receives is aborted when `signal`
 * is, and when the consumer stops early; no task starts after that.
 *
 * @param window How many tasks may have started without their result being taken.
 * @throws the reason of `signal`, at once when it is aborted.
 */
export async function* orderedMap<Item, Result>(
  items: Iterable<Item>,
  window: number,
  task: (item: Item, signal: AbortSignal) => Promise<Result>,
  signal: AbortSignal,
): AsyncGenerator<Result, void, void> {
  const stop = new AbortController();
  // Every running task may listen; Node's warning about more than ten listeners is not meant for this.
  setMaxListeners(0, stop.signal);
  const onAbort = () => stop.abort(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener('abort', onAbort, { once: true });

  const started: Promise<Result>[] = [];
  const remaining = items[Symbol.iterator]();
  const fill = () => {
    while (started.length < window) {
      const next = remaining.next();
      if (next.done === true) return;
      const result = task(next.value, stop.signal);
      // It may fail while an earlier result is awaited, or when nobody will ask for it any more.
      result.catch(() => undefined);
      started.push(result);
    }
  };

  try {
    fill();
    for (let first = started[0]; first !== undefined; first = started[0]) {
      yield await abortable(first, stop.signal);
      void started.shift();
      fill();
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    stop.abort(new Error('the consumer stopped'));
  }
}
