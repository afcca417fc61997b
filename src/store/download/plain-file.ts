/**
 * A file at a plain address, as LAVIS and MiniGPT-4 publish theirs: kept in the data folder under `downloads/`.
 *
 * Nobody states a sha256 for them. The size is checked, and the md5 that Google's storage sends; a web page in the place of the file (a
 * login, a warning) is refused. A file that is there is taken as it is, without asking the server again.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DownloadError } from '../../errors.ts';
import { dataFolder } from '../packs.ts';
import type { Checksum } from './checksum.ts';
import { download, isPresent, parseContentRange, type DownloadMeans } from './download.ts';
import { onDisk, requireFreeSpace } from './free-space.ts';
import type { Answer } from './http-client.ts';
import type { Subject } from './http-failures.ts';
import { withLock } from './lock.ts';
import { Retries } from './retries.ts';

const PARTIAL_ENDING = '.incomplete';

/** Where the file of an address is kept: a folder of its own, because two addresses may end in the same name. */
export function plainFilePath(url: string, name: string): string {
  return join(dataFolder(), 'downloads', shortDigest(url), name);
}

/**
 * Fetches the file at `url`, unless it is there.
 *
 * @param options.name The file's name on disk; what reads it goes by the ending.
 * @param options.offline Use only what is there.
 * @returns its path.
 * @throws DownloadError when it cannot be fetched or kept; the signal's reason.
 */
export async function fetchPlainFile(
  url: string,
  options: { name: string; offline: boolean },
  means: DownloadMeans,
): Promise<string> {
  const target = plainFilePath(url, options.name);
  if (await isPresent(target, undefined, url)) return target;
  if (options.offline) {
    throw new DownloadError(
      url,
      'offline',
      `it is not in ${dirname(target)}, and HF_HUB_OFFLINE does not allow a download. Run the command once with HF_HUB_OFFLINE=0.`,
    );
  }
  await onDisk(async () => fetchAlone(target, url, means), { subject: url, folder: dirname(target) });
  return target;
}

async function fetchAlone(target: string, url: string, means: DownloadMeans): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const { signal, wait, observer } = means;
  const onBusy = (holder: string): void => observer.note(`${url}: ${holder} is downloading it; waiting`);
  await withLock(`${target}.lock`, { wait, signal, onBusy }, async () => {
    // Another process may have fetched it while we waited.
    if (!(await isPresent(target, undefined, url))) await fetchTo(target, url, means);
  });
}

async function fetchTo(target: string, url: string, means: DownloadMeans): Promise<void> {
  const subject: Subject = { name: url };
  const retries = new Retries(means.wait, (text) => means.observer.note(text));
  const { bytes, checksum, version } = await retries.run(async () => look(new URL(url), subject, means), means.signal);
  const partial = `${target}.${version}${PARTIAL_ENDING}`;
  await removeOtherVersions(target, partial);
  const { size: present } = await stat(partial).catch(() => ({ size: 0 }));
  await requireFreeSpace(url, dirname(target), bytes - present, means.freeBytes);
  means.observer.plan(bytes - present);
  await download({ url: new URL(url), subject, target, partial, bytes, checksum }, means);
}

type Facts = { bytes: number; checksum: Checksum | undefined; version: string };

/** Asks for one byte, to learn the size, the version and the checksum of the file. */
async function look(url: URL, subject: Subject, { http, signal }: DownloadMeans): Promise<Facts> {
  const answer = await http.get(url, subject, { headers: { range: 'bytes=0-0' }, signal });
  try {
    const { headers, host } = answer;
    if (headers.get('content-type')?.startsWith('text/html') === true) {
      const message = `${host} sends a web page instead of the file. Open the address in a browser to see what it asks for; a file downloaded there can be given to: minigpt models import`;
      throw new DownloadError(subject.name, 'bad-answer', message);
    }
    const bytes = sizeOf(answer);
    if (bytes === undefined) {
      throw new DownloadError(subject.name, 'bad-answer', `${host} does not say how large the file is.`);
    }
    // A server states either, both, or neither; the size is known always.
    const version = `${headers.get('etag') ?? ''} ${headers.get('last-modified') ?? ''} ${bytes}`;
    return { bytes, checksum: googleChecksum(headers), version: shortDigest(version) };
  } finally {
    await answer.close();
  }
}

function sizeOf({ status, headers }: Answer): number | undefined {
  if (status !== 200) return parseContentRange(headers.get('content-range')).total;
  const length = headers.get('content-length');
  return length === null ? undefined : Number(length);
}

/** `x-goog-hash: crc32c=…, md5=…`; composite objects have no md5. */
function googleChecksum(headers: Headers): Checksum | undefined {
  const stated = headers.get('x-goog-hash');
  const encoded = stated === null ? undefined : /(?:^|[,\s])md5=([\w+/]{22}==)/.exec(stated)?.[1];
  return encoded === undefined ? undefined : { kind: 'md5', hex: Buffer.from(encoded, 'base64').toString('hex') };
}

/** What was fetched of a version that the server no longer has can never be completed. */
async function removeOtherVersions(target: string, partial: string): Promise<void> {
  for (const name of await readdir(dirname(target))) {
    const isPartial = name.startsWith(`${basename(target)}.`) && name.endsWith(PARTIAL_ENDING);
    if (isPartial && name !== basename(partial)) await rm(join(dirname(target), name), { force: true });
  }
}

function shortDigest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}
