/**
 * A thread that ends its own process: where decoding takes more computing time or memory than it may, and where the program that it decodes for
 * is gone. A decoder that hangs within one call can be stopped from outside only, and only with its process.
 *
 * Computing time counts, not the time on the clock, so that an image does not fail because the machine is busy.
 */
import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { ENDED_FOR } from './messages.ts';

/** Places in the numbers that both threads see. */
export const PLACE = {
  /** Computing time of the process in ms when the image began; 0 while there is none. */
  began: 0,
  /** What it may take, in ms. */
  time: 1,
  /** What it may hold, in bytes. */
  memory: 2,
} as const;

export type WatchdogData = { shared: SharedArrayBuffer };

/** How often it looks. Memory grows by some hundred megabytes in that time at most. */
const EVERY_MS = 50;
const STDERR = 2;

/** Computing time of this process in ms, never 0. */
export function computingTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000 + 1;
}

function watch({ shared }: WatchdogData): void {
  const numbers = new Float64Array(shared);
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) end(undefined);
    const began = numbers[PLACE.began] as number;
    if (began === 0) return;
    if (computingTime() - began > (numbers[PLACE.time] as number)) end('time');
    if (process.memoryUsage.rss() > (numbers[PLACE.memory] as number)) end('memory');
  }, EVERY_MS);
}

function end(reason: keyof typeof ENDED_FOR | undefined): void {
  try {
    if (reason !== undefined) writeSync(STDERR, `\n${ENDED_FOR[reason]}\n`);
  } finally {
    process.kill(process.pid, 'SIGKILL');
  }
}

if (workerData !== null) watch(workerData as WatchdogData);
