/** What a disk refuses, said plainly; and whether a download fits, asked before it begins, because a full disk troubles every program. */
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DownloadError, systemErrorCode } from '../../errors.ts';

/** Bytes that may still be written below `folder`, which need not exist yet; undefined where the system does not tell. */
export async function freeBytes(folder: string): Promise<number | undefined> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch (error) {
    const parent = dirname(folder);
    return systemErrorCode(error) === 'ENOENT' && parent !== folder ? freeBytes(parent) : undefined;
  }
}

/** @throws DownloadError when `needed` bytes do not fit below `folder`. `measure` stands in for the disk in tests. */
export async function requireFreeSpace(
  subject: string,
  folder: string,
  needed: number,
  measure = freeBytes,
): Promise<void> {
  const free = await measure(folder);
  if (free !== undefined && free < needed) throw diskFull(subject, folder, needed, free);
}

/**
 * Runs something that writes below `folder`. `needed` tells how many bytes are still to be written, where that is known.
 *
 * @throws DownloadError in the place of an error of the system; any other as it is.
 */
export async function onDisk<T>(
  write: () => Promise<T>,
  where: { subject: string; folder: string; needed?: () => number; measure?: typeof freeBytes | undefined },
): Promise<T> {
  try {
    return await write();
  } catch (cause) {
    const { subject, folder, needed, measure = freeBytes } = where;
    const code = systemErrorCode(cause);
    if (code === undefined || !(cause instanceof Error && 'syscall' in cause)) throw cause;
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      throw diskFull(subject, folder, needed?.(), await measure(folder), cause);
    }
    const message = `it cannot be stored in ${folder} (${cause.message}). Make the folder writable, or choose another with HF_HOME or MINIGPT_HOME.`;
    throw new DownloadError(subject, 'disk', message, { cause });
  }
}

/** The error for a disk without room for `needed` more bytes. */
function diskFull(
  subject: string,
  folder: string,
  needed: number | undefined,
  free: number | undefined,
  cause?: unknown,
): DownloadError {
  const numbers = [
    ...(needed === undefined ? [] : [`${count(needed)} more are needed`]),
    ...(free === undefined ? [] : [`${count(free)} are free`]),
  ];
  const facts = numbers.length === 0 ? '' : ` (${numbers.join(', ')})`;
  const message = `there is not enough space on the disk of ${folder}${facts}. Free some space, or choose another disk with HF_HOME or MINIGPT_HOME. The same command then continues from there.`;
  return new DownloadError(subject, 'disk-full', message, { cause });
}

/** `15769786368` as `15,769,786,368 bytes`. */
function count(bytes: number): string {
  return `${bytes.toLocaleString('en-US')} bytes`;
}
