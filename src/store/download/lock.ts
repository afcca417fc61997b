/**
 * One process at a time: a lock is a file that says who holds it, and that its holder touches now and then.
 *
 * A process that was killed leaves its lock behind. On the same machine it is known to be dead; of another machine, or another container,
 * only the age of the last touch tells. Two processes that take over one dead lock in the same instant could both succeed; what they
 * download is checked, so the worst is that it must be downloaded again.
 */
import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { systemErrorCode } from '../../errors.ts';
import type { Wait } from './retries.ts';

const TOUCH_MS = 10_000;
/** A holder elsewhere that has not touched its lock for so long is gone. */
const ABANDONED_MS = 120_000;
/** A lock is made and filled at once; one that cannot be read after this time is what a killed process left. */
const UNREADABLE_MS = 10_000;
const POLL_MS = 1000;

type Holder = { pid: number; host: string; token: string };

export type LockOptions = {
  wait: Wait;
  signal?: AbortSignal | undefined;
  /** Called once where somebody else holds the lock; `holder` reads like "process 12". */
  onBusy?: (holder: string) => void;
};

/**
 * Runs `action` while holding the lock at `path`, whose folder exists. Waits while another process holds it.
 *
 * @throws the signal's reason while waiting; what `action` throws.
 */
export async function withLock<T>(path: string, options: LockOptions, action: () => Promise<T>): Promise<T> {
  const content = JSON.stringify({ pid: process.pid, host: hostname(), token: randomUUID() } satisfies Holder);
  let told = false;
  while (!(await take(path, content))) {
    options.signal?.throwIfAborted();
    const found = await readFile(path, 'utf8').catch(() => undefined);
    if (found === undefined) continue;
    if (await isAbandoned(path, found)) {
      await remove(path, found);
      continue;
    }
    if (!told) options.onBusy?.(describe(found));
    told = true;
    await options.wait(POLL_MS, options.signal);
  }
  const touching = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, TOUCH_MS);
  touching.unref();
  try {
    return await action();
  } finally {
    clearInterval(touching);
    const found = await readFile(path, 'utf8').catch(() => undefined);
    if (found === content) await rm(path, { force: true });
  }
}

async function take(path: string, content: string): Promise<boolean> {
  try {
    await writeFile(path, content, { flag: 'wx' });
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

async function isAbandoned(path: string, content: string): Promise<boolean> {
  const touched = await stat(path).catch(() => undefined);
  if (touched === undefined) return false;
  const age = Date.now() - touched.mtimeMs;
  const holder = parse(content);
  if (holder === undefined) return age > UNREADABLE_MS;
  return holder.host === hostname() ? !isAlive(holder.pid) : age > ABANDONED_MS;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // The process is there but belongs to somebody else.
    return systemErrorCode(error) === 'EPERM';
  }
}

/** Removes the lock with this content, and no other that took its place meanwhile. */
async function remove(path: string, content: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return;
    throw error;
  }
  const found = await readFile(aside, 'utf8');
  if (found !== content) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}

function parse(content: string): Holder | undefined {
  try {
    const { pid, host, token } = JSON.parse(content) as Partial<Record<keyof Holder, unknown>>;
    if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0) return undefined;
    return typeof host === 'string' && typeof token === 'string' ? { pid, host, token } : undefined;
  } catch {
    return undefined;
  }
}

function describe(content: string): string {
  const holder = parse(content);
  if (holder === undefined) return 'another process';
  return holder.host === hostname() ? `process ${holder.pid}` : `process ${holder.pid} on ${holder.host}`;
}
