/** Reads the list that `--files-from` names: a file, standard input, or a pipe, whose writer may never come. */
import { close, constants, fstat, open as openDescriptor, type Stats } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import { addAbortSignal, type Readable } from 'node:stream';
import { isatty, ReadStream } from 'node:tty';
import { promisify } from 'node:util';
import { systemErrorCode, UsageError } from '../../errors.ts';

/** Some ten million paths. What gives more is no list. */
const MAX_LIST_BYTES = 2 ** 30;

/**
 * The bytes of a list.
 *
 * @param path `-` stands for `stdin`
 * @throws UsageError when it cannot be read; the error of the abort when `signal` is aborted, also while nobody writes into a pipe.
 */
export async function readList(path: string, stdin: Readable, signal: AbortSignal | undefined): Promise<Buffer> {
  const option = `--files-from ${path}`;
  try {
    // By its second name it cannot be opened where it is a socket, as other programs make it.
    if (path === '-' || path === '/dev/stdin') return await collect(stdin, option, signal);
    const stats = await stat(path);
    if (stats.isFile()) return await readWhole(path, stats, option, signal);
    if (stats.isFIFO() || stats.isCharacterDevice())
      return await collect(await openStream(path, option), option, signal);
    if (stats.isDirectory()) throw new UsageError(`${option}: this is a folder. Give it without --files-from.`);
    throw new UsageError(`${option}: ${NO_LIST}`);
  } catch (error) {
    if (error instanceof UsageError || signal?.aborted === true) throw error;
    const reason = systemErrorCode(error) === 'ENOENT' ? 'there is no such file' : String(error);
    throw new UsageError(`${option}: ${reason}.`, { cause: error });
  }
}

const NO_LIST = 'this is not a list. Give a text file, or "-" for standard input.';

async function readWhole(path: string, { size }: Stats, option: string, signal?: AbortSignal): Promise<Buffer> {
  if (size > MAX_LIST_BYTES) throw tooLong(option);
  const handle = await open(path);
  try {
    return await handle.readFile({ signal });
  } finally {
    await handle.close();
  }
}

/**
 * Opens a pipe or a terminal as a stream that waits outside of any thread. The usual way of opening a pipe takes a thread of Node's until
 * somebody writes, and even the end of the process would wait for it.
 */
async function openStream(path: string, option: string): Promise<Readable> {
  const fd = await promisify(openDescriptor)(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  if (isatty(fd)) return new ReadStream(fd);
  if ((await promisify(fstat)(fd)).isFIFO()) return new Socket({ fd, readable: true, writable: false });
  await promisify(close)(fd);
  throw new UsageError(`${option}: ${NO_LIST}`);
}

async function collect(source: Readable, option: string, signal: AbortSignal | undefined): Promise<Buffer> {
  if (signal !== undefined) addAbortSignal(signal, source);
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of source as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > MAX_LIST_BYTES) throw tooLong(option);
  }
  return Buffer.concat(chunks);
}

function tooLong(option: string): UsageError {
  return new UsageError(`${option}: the list is longer than 1 GiB. Divide it.`);
}
