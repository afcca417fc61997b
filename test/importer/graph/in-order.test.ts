/** Several things at once, their results in order, and nothing left running. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { inOrder } from '../../../src/importer/graph/in-order.ts';

/** A job that is done when it is told to be. */
class Task {
  readonly size: number;
  begun = false;
  ended = false;
  finish: () => void = () => undefined;
  fail: (error: Error) => void = () => undefined;

  constructor(size = 1) {
    this.size = size;
  }

  async run(): Promise<Task> {
    this.begun = true;
    await new Promise<void>((resolve, reject) => {
      this.finish = resolve;
      this.fail = reject;
    }).finally(() => {
      this.ended = true;
    });
    return this;
  }
}

function results(tasks: Task[], limit: number): AsyncGenerator<Task, undefined> {
  return inOrder(
    tasks,
    limit,
    ({ size }) => size,
    async (task) => task.run(),
  );
}

const begunOf = (tasks: Task[]): number => tasks.filter(({ begun }) => begun).length;

test('results come in the order of the jobs, whichever is ready first', async () => {
  const tasks = [new Task(), new Task(), new Task()];
  const received = results(tasks, 3);
  const first = received.next();
  for (const task of tasks.toReversed()) task.finish();
  expect(await first).toEqual({ done: false, value: tasks[0] });
  expect(await received.next()).toEqual({ done: false, value: tasks[1] });
  expect(await received.next()).toEqual({ done: false, value: tasks[2] });
  expect(await received.next()).toEqual({ done: true, value: undefined });
});

test('as many jobs are begun as the limit holds, counting those whose result is being used', async () => {
  const tasks = [new Task(2), new Task(2), new Task(2), new Task(2)];
  const received = results(tasks, 5);
  const first = received.next();
  expect(begunOf(tasks)).toBe(2);
  tasks[0]?.finish();
  await first;
  expect(begunOf(tasks)).toBe(2);
  const second = received.next();
  expect(begunOf(tasks)).toBe(3);
  tasks[1]?.finish();
  tasks[2]?.finish();
  await second;
  await received.return(undefined);
});

test('a job beyond the limit is begun when it is alone', async () => {
  const tasks = [new Task(10), new Task(10)];
  const received = results(tasks, 5);
  const first = received.next();
  expect(begunOf(tasks)).toBe(1);
  tasks[0]?.finish();
  await first;
  const second = received.next();
  expect(begunOf(tasks)).toBe(2);
  tasks[1]?.finish();
  expect(await second).toEqual({ done: false, value: tasks[1] });
});

test('a failure is thrown in its turn, after the others that were begun have ended', async () => {
  const tasks = [new Task(), new Task(), new Task(), new Task()];
  const received = results(tasks, 3);
  const first = received.next();
  tasks[1]?.fail(new Error('the second'));
  tasks[0]?.finish();
  expect(await first).toEqual({ done: false, value: tasks[0] });
  const second = received.next();
  tasks[3]?.finish();
  tasks[2]?.finish();
  await expect(second).rejects.toThrow('the second');
  expect(tasks.map(({ begun, ended }) => begun === ended)).toEqual([true, true, true, true]);
  expect(await received.next()).toEqual({ done: true, value: undefined });
});

test('a caller that stops early waits for what was begun', async () => {
  const tasks = [new Task(), new Task(), new Task()];
  const received = results(tasks, 2);
  const first = received.next();
  tasks[0]?.finish();
  await first;
  const stopped = received.return(undefined);
  tasks[1]?.fail(new Error('nobody wants it'));
  await stopped;
  expect(tasks.map(({ ended }) => ended)).toEqual([true, true, false]);
  expect(tasks[2]?.begun).toBe(false);
});

test('every job is done once, in order, and never more at a time than the limit', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 9 })),
      fc.integer({ min: 1, max: 20 }),
      async (sizes, limit) => {
        let open = 0;
        const seen: number[] = [];
        const jobs = sizes.map((size, index) => ({ size, index }));
        const received = inOrder(
          jobs,
          limit,
          ({ size }) => size,
          async (job) => {
            open += job.size;
            expect(open).toBeLessThanOrEqual(Math.max(limit, job.size));
            await Promise.resolve();
            return job;
          },
        );
        for await (const job of received) {
          seen.push(job.index);
          open -= job.size;
        }
        expect(seen).toEqual(jobs.map(({ index }) => index));
      },
    ),
  );
});
