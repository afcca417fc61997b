/**
 * One file over HTTP: gone on with where an earlier attempt or process stopped, checked, and only then given its name.
 *
 * The partial file is a plain beginning of the file, so going on needs nothing but its length. Whoever asks for the download makes sure
 * that a partial file belongs to the same content (by a name that only this content has).
 */
import type { Hash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DownloadError, systemErrorCode } from '../../errors.ts';
import { startChecksum, type Checksum } from './checksum.ts';
import { onDisk, type freeBytes } from './free-space.ts';
import type { Answer, HttpClient } from './http-client.ts';
import type { Subject } from './http-failures.ts';
import { PartialFile } from './partial-file.ts';
import { PassingFailure, Retries, type Wait } from './retries.ts';

/** What a person may want to know while files arrive. */
export interface DownloadObserver {
  /** A line such as "…; trying again in 2 s". */
  note(text: string): void;
  /** So many bytes are to be fetched next, in one or several files. */
  plan(bytes: number): void;
  /** A file is begun, or gone on with: `present` of its `total` bytes are here. */
  start(name: string, present: number, total: number): void;
  /** So many bytes arrived; negative where they must be fetched again. */
  advance(bytes: number): void;
}

/** The means of every download of a command. */
export type DownloadMeans = {
  http: HttpClient;
  wait: Wait;
  observer: DownloadObserver;
  signal?: AbortSignal | undefined;
  /** Stands in for the disk in tests. */
  freeBytes?: typeof freeBytes;
};

export type Download = {
  url: URL;
  subject: Subject;
  target: string;
  /** Its folder exists. */
  partial: string;
  bytes: number;
  /** Undefined where nobody states one: then the size is all that is checked. */
  checksum: Checksum | undefined;
  /** Looks at the headers of each first answer before its body is taken. */
  inspect?: (firstHeaders: Headers) => void;
};

/**
 * Fetches a file to `target`.
 *
 * @throws DownloadError when it cannot be fetched, is not what it should be (then it is removed), or cannot be kept; the signal's reason.
 */
export async function download(file: Download, means: DownloadMeans): Promise<void> {
  const { name } = file.subject;
  const disk = { subject: name, folder: dirname(file.partial), measure: means.freeBytes };
  const startHash = (): Hash => startChecksum(file.checksum?.kind ?? 'sha256', file.bytes);
  const partial = await onDisk(async () => PartialFile.open(file.partial, startHash), disk);
  try {
    if (partial.bytes > file.bytes) await partial.restart();
    means.observer.start(name, partial.bytes, file.bytes);
    const retries = new Retries(means.wait, (text) => means.observer.note(text));
    await retries.run(async () => fill(partial, file, means, retries), means.signal);
    const found = partial.checksum();
    if (file.checksum !== undefined && found !== file.checksum.hex) {
      await partial.remove();
      throw new DownloadError(
        name,
        'wrong-content',
        `the downloaded file is not the published file: its ${file.checksum.kind} should be ${file.checksum.hex} but is ${found}. It was removed; run the same command again.`,
      );
    }
    await onDisk(async () => partial.moveTo(file.target), disk);
  } finally {
    await partial.close();
  }
}

/** One attempt at what is missing of the file. */
async function fill(partial: PartialFile, file: Download, means: DownloadMeans, retries: Retries): Promise<void> {
  const { observer, signal } = means;
  if (partial.bytes === file.bytes) return;
  const needed = (): number => file.bytes - partial.bytes;
  const disk = { subject: file.subject.name, folder: dirname(file.partial), needed, measure: means.freeBytes };
  const headers: Record<string, string> = partial.bytes > 0 ? { range: `bytes=${partial.bytes}-` } : {};
  const answer = await means.http.get(file.url, file.subject, { headers, signal });
  try {
    file.inspect?.(answer.firstHeaders);
    if (!continues(answer, partial.bytes, file)) {
      observer.advance(-partial.bytes);
      await partial.restart();
      if (answer.status !== 200) {
        throw new PassingFailure(
          file.subject.name,
          'bad-answer',
          `${answer.host} cannot continue the partial file (status ${answer.status}), so the download starts again`,
          { retryAfterMs: 0 },
        );
      }
    }
    for await (const chunk of answer.body) {
      if (partial.bytes + chunk.length > file.bytes) throw tooLong(answer.host, file);
      await onDisk(async () => partial.append(chunk), disk);
      observer.advance(chunk.length);
      retries.received(chunk.length);
    }
  } catch (error) {
    if (error instanceof DownloadError && error.fault === 'wrong-content') await partial.remove();
    throw error;
  } finally {
    await answer.close();
  }
  if (partial.bytes < file.bytes) {
    const message = `${answer.host} stopped after ${partial.bytes} of ${file.bytes} bytes`;
    throw new PassingFailure(file.subject.name, 'connection', message);
  }
}

/** Whether the body of the answer goes on at byte `start` of this file. */
function continues(answer: Answer, start: number, file: Download): boolean {
  const { status, headers, host } = answer;
  if (status === 200) {
    const length = headers.get('content-length');
    if (length !== null && Number(length) !== file.bytes) throw otherSize(host, length, file);
    return start === 0;
  }
  const { first, total } = parseContentRange(headers.get('content-range'));
  if (status !== 206) return false;
  if (total !== undefined && total !== file.bytes) throw otherSize(host, String(total), file);
  return first === start;
}

const CONTENT_RANGE = /^bytes (?:(\d+)-\d+|\*)\/(?:(\d+)|\*)$/;

/** `bytes 100-199/1000` as its first byte and its total; each undefined where it is not stated. */
export function parseContentRange(value: string | null): { first: number | undefined; total: number | undefined } {
  // No header, and one that is written otherwise, state neither.
  const [, first, total] = (value === null ? null : CONTENT_RANGE.exec(value.trim())) ?? [];
  return {
    first: first === undefined ? undefined : Number(first),
    total: total === undefined ? undefined : Number(total),
  };
}

function otherSize(host: string, total: string, file: Download): DownloadError {
  const message = `the file should have ${file.bytes} bytes, but ${host} has one of ${total} bytes. The partial file was removed; run the same command again.`;
  return new DownloadError(file.subject.name, 'wrong-content', message);
}

function tooLong(host: string, file: Download): DownloadError {
  const message = `${host} sends more than the ${file.bytes} bytes that the file should have. The partial file was removed; run the same command again.`;
  return new DownloadError(file.subject.name, 'wrong-content', message);
}

/** True when the whole file is there. @throws DownloadError when something else of its name is there. */
export async function isPresent(path: string, bytes: number | undefined, subject: string): Promise<boolean> {
  try {
    const { size } = await stat(path);
    if (bytes === undefined || size === bytes) return true;
    throw new DownloadError(
      subject,
      'wrong-content',
      `${path} has ${size} bytes instead of ${bytes}, so it is damaged. Remove it and run the same command again.`,
    );
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
