import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { orderedMap } from '../../src/pipeline/ordered-map.ts';
import { Deferred, settle } from './deferred.ts';

const never = new AbortController().signal;

describe('for any number of items, window and order in which tasks end', () => {
  test('results come in the order of the items, and the window is never exceeded', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 0, max: 30 }),
        fc.integer({ min: 1, max: 8 }),
        async (scheduler, count, window) => {
          const items = Array.from({ length: count }, (_, index) => index);
          let untaken = 0;
          let most = 0;
          const task = async (item: number): Promise<number> => {
            untaken += 1;
            most = Math.max(most, untaken);
            return scheduler.schedule(Promise.resolve(item * 10));
          };
          const results: number[] = [];
          const consume = async () => {
            for await (const result of orderedMap(items, window, task, never)) {
              results.push(result);
              untaken -= 1;
            }
          };
          await scheduler.waitFor(consume());
          expect(results).toEqual(items.map((item) => item * 10));
          expect(most).toBeLessThanOrEqual(window);
          expect(most).toBe(Math.min(window, count));
        },
      ),
    );
  });

  test('a rejected task is thrown at its place, after all results before it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 8 }),
        fc.nat(),
        async (scheduler, count, window, seed) => {
          const bad = seed % count;
          const task = async (item: number): Promise<number> => {
            await scheduler.schedule(Promise.resolve());
            if (item >= bad) throw new Error(`item ${item}`);
            return item;
          };
          const results: number[] = [];
          const consume = async () => {
            for await (const result of orderedMap(Array(count).keys(), window, task, never)) results.push(result);
          };
          await expect(scheduler.waitFor(consume())).rejects.toThrow(`item ${bad}`);
          expect(results).toEqual(Array.from({ length: bad }, (_, index) => index));
        },
      ),
    );
  });
});

test('one slow item holds back no more than the window', async () => {
  const slow = new Deferred<number>();
  const begun: number[] = [];
  const results = orderedMap(
    Array(100).keys(),
    4,
    async (item) => {
      begun.push(item);
      return item === 0 ? slow.promise : item;
    },
    never,
  );
  const first = results.next();
  await settle();
  expect(begun).toEqual([0, 1, 2, 3]);
  slow.resolve(0);
  expect(await first).toEqual({ value: 0, done: false });
  await results.return();
});

test('nothing starts while the consumer does not ask', async () => {
  let begun = 0;
  const results = orderedMap(Array(100).keys(), 2, async () => (begun += 1), never);
  await settle();
  expect(begun).toBe(0);
  await results.next();
  await settle();
  expect(begun).toBe(2);
  await results.return();
});

test('when the consumer stops early, tasks are told and no further one starts', async () => {
  const signals: AbortSignal[] = [];
  for await (const result of orderedMap(
    Array(100).keys(),
    3,
    async (item, signal) => {
      signals.push(signal);
      return item;
    },
    never,
  )) {
    if (result === 1) break;
  }
  await settle();
  expect(signals).toHaveLength(4);
  expect(signals.every((signal) => signal.aborted)).toBe(true);
});

test('an abort ends the wait for a task that never ends, with the reason', async () => {
  const controller = new AbortController();
  const stuck = new Deferred<number>();
  let told: unknown;
  const results = orderedMap(
    [1],
    1,
    async (_item, signal) => {
      signal.addEventListener('abort', () => (told = signal.reason));
      return stuck.promise;
    },
    controller.signal,
  );
  const first = results.next();
  await settle();
  const reason = new Error('enough');
  controller.abort(reason);
  await expect(first).rejects.toBe(reason);
  expect(told).toBe(reason);
  // What the task says later bothers nobody.
  stuck.reject(new Error('too late'));
  await settle();
});

test('a run that is aborted before it begins starts nothing', async () => {
  let begun = 0;
  const results = orderedMap([1, 2], 2, async () => (begun += 1), AbortSignal.abort(new Error('enough')));
  await expect(results.next()).rejects.toThrow('enough');
  expect(begun).toBe(0);
});
