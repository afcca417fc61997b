/** Entry of a process that decodes one image at a time for the program that started it, until that lets go of it. */
import { Worker } from 'node:worker_threads';
import { decodeBytes } from '../decode-bytes.ts';
import { ImageError } from '../../errors.ts';
import { KINDS } from '../kinds/kinds.ts';
import { READY, type ApartAnswer, type ApartRequest } from './messages.ts';
import { computingTime, PLACE, type WatchdogData } from './watchdog.ts';

const numbers = new Float64Array(new SharedArrayBuffer(Object.keys(PLACE).length * Float64Array.BYTES_PER_ELEMENT));

const workerData: WatchdogData = { shared: numbers.buffer };
new Worker(new URL('./watchdog.js', import.meta.url), { workerData }).unref();

// A Ctrl-C on a terminal reaches every process of the group. The program decides what it ends.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
// Exiting in order would wait for a decoder that is under way.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.on('message', (message) => void answer(message as ApartRequest));
process.send?.(READY);

async function answer({ kind: name, bytes, request, limits }: ApartRequest): Promise<void> {
  numbers[PLACE.time] = limits.seconds * 1000;
  numbers[PLACE.memory] = limits.memory;
  numbers[PLACE.began] = computingTime();
  const outcome = await decode(name, bytes, request);
  numbers[PLACE.began] = 0;
  process.send?.({ ...outcome, rss: process.memoryUsage.rss() } satisfies ApartAnswer);
}

async function decode(
  name: string,
  bytes: Uint8Array,
  request: ApartRequest['request'],
): Promise<
  { image: Extract<ApartAnswer, { image: unknown }>['image'] } | Pick<Extract<ApartAnswer, { error: unknown }>, 'error'>
> {
  try {
    const kind = KINDS.find((one) => one.name === name);
    if (kind === undefined) throw new RangeError(`no kind is called ${name}`);
    return { image: await decodeBytes(kind, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), request) };
  } catch (error) {
    const { stack, message } = error instanceof Error ? error : new Error(String(error));
    const code = error instanceof ImageError ? error.code : 'internal';
    const cause = error instanceof ImageError && error.cause instanceof Error ? error.cause.stack : stack;
    return { error: { code, message, stack: cause } };
  }
}
