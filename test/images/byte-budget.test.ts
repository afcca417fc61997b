import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ByteBudget } from '../../src/images/byte-budget.ts';

/** Work that runs until it is told to end. */
function openEnded(): { work: () => Promise<void>; started: () => boolean; end: () => void } {
  let end: (() => void) | undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  let started = false;
  return {
    work: async () => {
      started = true;
      await ended;
    },
    started: () => started,
    end: () => end?.(),
  };
}

test('work begins while there are bytes and waits otherwise', async () => {
  const budget = new ByteBudget(100);
  const [first, second, third] = [openEnded(), openEnded(), openEnded()];
  const runs = [budget.run(60, first.work), budget.run(40, second.work), budget.run(1, third.work)];
  await nextTurn();
  expect([first.started(), second.started(), third.started()]).toEqual([true, true, false]);
  second.end();
  await runs[1];
  await nextTurn();
  expect(third.started()).toBe(true);
  first.end();
  third.end();
  await Promise.all(runs);
});

test('work larger than the budget runs alone', async () => {
  const budget = new ByteBudget(100);
  const [small, huge, next] = [openEnded(), openEnded(), openEnded()];
  const runs = [budget.run(1, small.work), budget.run(1e9, huge.work), budget.run(1, next.work)];
  await nextTurn();
  expect([small.started(), huge.started(), next.started()]).toEqual([true, false, false]);
  small.end();
  await runs[0];
  await nextTurn();
  expect([huge.started(), next.started()]).toEqual([true, false]);
  huge.end();
  await runs[1];
  await nextTurn();
  expect(next.started()).toBe(true);
  next.end();
  await Promise.all(runs);
});

test('work that fails gives its bytes back', async () => {
  const budget = new ByteBudget(10);
  const failing = budget.run(10, () => Promise.reject(new Error('damaged')));
  await expect(failing).rejects.toThrow('damaged');
  expect(await budget.run(10, () => Promise.resolve('next'))).toBe('next');
});

test('aborting ends the waiting and lets those behind pass', async () => {
  const budget = new ByteBudget(10);
  const holder = openEnded();
  const holding = budget.run(6, holder.work);
  const controller = new AbortController();
  const waiting = budget.run(10, () => Promise.resolve('large'), controller.signal);
  const behind = budget.run(4, () => Promise.resolve('small'));
  controller.abort(new Error('interrupted'));
  await expect(waiting).rejects.toThrow('interrupted');
  expect(await behind).toBe('small');
  holder.end();
  await holding;
});
