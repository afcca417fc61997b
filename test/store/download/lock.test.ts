import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withLock } from '../../../src/store/download/lock.ts';
import { Deferred } from '../../pipeline/deferred.ts';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minigpt-lock-'));
  path = join(folder, 'file.lock');
});
afterEach(async () => rm(folder, { recursive: true }));

const neverWait = async (): Promise<void> => Promise.reject(new Error('it waited'));

/** The id of a process that was there and is gone. */
function deadPid(): number {
  return spawnSync(process.execPath, ['-e', '']).pid;
}

function holder(pid: number, host = hostname()): string {
  return JSON.stringify({ pid, host, token: 'other' });
}

async function touchedAgo(seconds: number): Promise<void> {
  const then = new Date(Date.now() - seconds * 1000);
  await utimes(path, then, then);
}

test('the lock is there while the action runs, names this process, and is gone afterwards', async () => {
  const answer = await withLock(path, { wait: neverWait }, async () => {
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ pid: process.pid, host: hostname() });
    return 7;
  });
  expect(answer).toBe(7);
  expect(await readdir(folder)).toEqual([]);
});

test('the lock is gone after an action that failed', async () => {
  await expect(withLock(path, { wait: neverWait }, async () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(existsSync(path)).toBe(false);
});

test('two actions never run at the same time, and the second is told once who is first', async () => {
  const events: string[] = [];
  const [held, inside] = [new Deferred<void>(), new Deferred<void>()];
  const first = withLock(path, { wait: neverWait }, async () => {
    inside.resolve();
    await held.promise;
    events.push('first');
  });
  await inside.promise;
  let polls = 0;
  const wait = async (): Promise<void> => {
    polls += 1;
    if (polls < 3) return;
    held.resolve();
    await first;
  };
  await withLock(path, { wait, onBusy: (who) => events.push(who) }, async () => void events.push('second'));
  expect(events).toEqual([`process ${process.pid}`, 'first', 'second']);
});

test('the lock of a process that is dead is taken over at once', async () => {
  await writeFile(path, holder(deadPid()));
  expect(await withLock(path, { wait: neverWait }, async () => 'mine')).toBe('mine');
  expect(await readdir(folder)).toEqual([]);
});

test('the lock of another machine is respected while it is touched, and taken over when it is not', async () => {
  await writeFile(path, holder(1, 'elsewhere'));
  await touchedAgo(100);
  const busy: string[] = [];
  const wait = async (): Promise<void> => touchedAgo(130);
  await withLock(path, { wait, onBusy: (who) => busy.push(who) }, async () => undefined);
  expect(busy).toEqual(['process 1 on elsewhere']);
});

test.each(['', '{"pid":', 'null', '{"pid":-1,"host":"x","token":"y"}'])(
  'a lock that was never filled (%j) counts until it is old',
  async (content) => {
    await writeFile(path, content);
    const busy: string[] = [];
    await withLock(path, { wait: async () => touchedAgo(11), onBusy: (who) => busy.push(who) }, async () => undefined);
    expect(busy).toEqual(['another process']);
  },
);

test('waiting can be stopped', async () => {
  await writeFile(path, holder(process.pid));
  const controller = new AbortController();
  const wait = async (): Promise<void> => controller.abort(new Error('enough'));
  await expect(withLock(path, { wait, signal: controller.signal }, async () => undefined)).rejects.toThrow('enough');
  expect(existsSync(path)).toBe(true);
});

test('a lock that somebody else took meanwhile is not removed', async () => {
  await withLock(path, { wait: neverWait }, async () => writeFile(path, holder(process.pid)));
  expect(await readFile(path, 'utf8')).toBe(holder(process.pid));
});
