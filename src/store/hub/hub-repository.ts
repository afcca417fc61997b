/**
 * One model repository of the Hugging Face hub at one commit: what it holds, and its files in the hub cache.
 *
 * `@huggingface/hub` asks the hub's questions (which commit, which files, with which checksums) and knows the cache's names. Its own
 * downloads neither resume nor check what arrives, so files come through `download/`, by the same addresses as `git lfs` uses.
 */
import { mkdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { listFiles, modelInfo } from '@huggingface/hub';
import { DownloadError, MinigptError, UsageError } from '../../errors.ts';
import { ObjectReader } from '../../pack/object-reader.ts';
import { required } from '../../required.ts';
import type { Checksum } from '../download/checksum.ts';
import { download, isPresent, type DownloadMeans } from '../download/download.ts';
import { onDisk, requireFreeSpace } from '../download/free-space.ts';
import type { Subject } from '../download/http-failures.ts';
import { withLock } from '../download/lock.ts';
import { Retries } from '../download/retries.ts';
import type { HubSettings } from './hub-settings.ts';
import { isCommit, RepositoryCache } from './repository-cache.ts';
import { isRepositoryName, isRevision } from './repository-name.ts';

/** A file of the repository; size and checksum are unknown where only the cache was asked. */
export type HubFile = { path: string; bytes: number | undefined; checksum: Checksum | undefined };

export class HubRepository {
  readonly name: string;
  readonly revision: string;
  /** Forty hexadecimal digits. */
  readonly commit: string;
  /** Every file, by its path: of the repository, or of the cache where the hub may not be asked. */
  readonly files: ReadonlyMap<string, HubFile>;
  readonly #cache: RepositoryCache;
  readonly #settings: HubSettings;
  readonly #means: DownloadMeans;

  private constructor(
    at: { name: string; revision: string; commit: string },
    files: readonly HubFile[],
    cache: RepositoryCache,
    settings: HubSettings,
    means: DownloadMeans,
  ) {
    this.name = at.name;
    this.revision = at.revision;
    this.commit = at.commit;
    this.files = new Map(files.map((file) => [file.path, file]));
    this.#cache = cache;
    this.#settings = settings;
    this.#means = means;
  }

  /**
   * Finds out what `revision` is and which files it has; asks nobody where `settings` say so.
   *
   * @throws UsageError for a name or revision that cannot be; DownloadError when it is not there or cannot be asked.
   */
  static async open(
    name: string,
    revision: string,
    settings: HubSettings,
    means: DownloadMeans,
  ): Promise<HubRepository> {
    if (!isRepositoryName(name)) {
      throw new UsageError(
        `"${name}" is not the name of a repository on the hub. Write it as org/name, such as Salesforce/blip2-opt-2.7b.`,
      );
    }
    if (!isRevision(revision)) {
      throw new UsageError(`"${revision}" is not a revision. Give a branch, a tag or a commit.`);
    }
    const cache = new RepositoryCache(settings.cacheFolder, name);
    const { commit, files } = settings.offline
      ? await readCache(name, revision, cache)
      : await askHub(name, revision, settings, means);
    if (!settings.offline) {
      await onDisk(async () => cache.rememberCommit(revision, commit), { subject: name, folder: cache.folder });
    }
    return new HubRepository({ name, revision, commit }, files, cache, settings, means);
  }

  /** The folder in the hub cache where the fetched files lie under their names. */
  get folder(): string {
    return this.#cache.snapshot(this.commit);
  }

  /** The repository's folder in the hub cache. */
  get cacheFolder(): string {
    return this.#cache.folder;
  }

  /** The path of a file in the cache. It is there once it was fetched. */
  path(file: string): string {
    return join(this.folder, file);
  }

  /** Parses a JSON file that was fetched. @throws DownloadError when it is no JSON object. */
  async json(file: string): Promise<ObjectReader> {
    const makeError = (where: string, message: string): DownloadError =>
      new DownloadError(`${this.name}, ${where}`, 'wrong-content', message);
    return ObjectReader.parse(await readFile(this.path(file), 'utf8'), file, makeError);
  }

  /**
   * Sees to it that `paths` are in the cache, in this order.
   *
   * @param onFile Called for each file that was not there before, once it is.
   * @throws DownloadError when one of them does not exist or cannot be fetched; all of them are named.
   */
  async fetch(paths: readonly string[], onFile?: (file: HubFile) => void): Promise<void> {
    const missing = paths.filter((path) => !this.files.has(path));
    if (missing.length > 0) throw this.notHere(missing);
    if (this.#settings.offline) return;
    const wanted: HubFile[] = [];
    let needed = 0;
    for (const path of paths) {
      const file = this.files.get(path);
      if (file === undefined || (await isPresent(this.path(path), file.bytes, this.#subject(path).name))) continue;
      wanted.push(file);
      needed += required(file.bytes, 'the size of a listed file') - (await this.#partialBytes(file));
    }
    if (wanted.length === 0) return;
    await requireFreeSpace(this.name, this.folder, needed, this.#means.freeBytes);
    this.#means.observer.plan(needed);
    for (const file of wanted) {
      await onDisk(async () => this.#fetchFile(file), { subject: this.name, folder: this.cacheFolder });
      onFile?.(file);
    }
  }

  /** The error for files that the repository, or the cache where the hub may not be asked, does not have. */
  notHere(missing: readonly string[]): DownloadError {
    const names = missing.join(', ');
    if (this.#settings.offline) return offlineError(this.name, `the cache does not contain ${names}`, this.#cache);
    return new DownloadError(this.name, 'not-found', `the repository has no ${names} at ${this.revision}.`);
  }

  async #fetchFile({ path, bytes: stated, checksum }: HubFile): Promise<void> {
    const subject = this.#subject(path);
    const bytes = required(stated, 'the size of a listed file');
    if (checksum === undefined) {
      throw new DownloadError(subject.name, 'bad-answer', 'the hub gives no checksum for it.');
    }
    const blob = this.#cache.blob(checksum.hex);
    await mkdir(dirname(blob), { recursive: true });
    const { wait, signal, observer } = this.#means;
    const onBusy = (holder: string): void => observer.note(`${subject.name}: ${holder} is downloading it; waiting`);
    await withLock(`${blob}.lock`, { wait, signal, onBusy }, async () => {
      // Somebody else may have fetched it while we waited.
      if (await isPresent(this.path(path), bytes, subject.name)) return;
      if (!(await isPresent(blob, bytes, subject.name))) {
        const url = new URL(`${this.#settings.endpoint}/${this.name}/resolve/${this.commit}/${encodePath(path)}`);
        const inspect = (headers: Headers): void => refuseOtherContent(headers, checksum, subject);
        const partial = `${blob}.incomplete`;
        await download({ url, subject, target: blob, partial, bytes, checksum, inspect }, this.#means);
      }
      await this.#cache.place(checksum.hex, this.commit, path);
    });
  }

  /** Bytes that were fetched before, 0 where none were. */
  async #partialBytes({ checksum }: HubFile): Promise<number> {
    if (checksum === undefined) return 0;
    const stats = await stat(`${this.#cache.blob(checksum.hex)}.incomplete`).catch(() => undefined);
    return stats?.size ?? 0;
  }

  #subject(path: string): Subject {
    return { ...subjectOf(this.name, this.revision, this.#settings), name: `${this.name}, ${path}` };
  }
}

/** Which commit and which files there are, as far as the cache knows. */
async function readCache(
  name: string,
  revision: string,
  cache: RepositoryCache,
): Promise<{ commit: string; files: HubFile[] }> {
  const commit = await cache.commitOf(revision);
  if (commit === undefined) throw offlineError(name, `the cache does not contain the revision "${revision}"`, cache);
  const files = (await cache.files(commit)).map((path) => ({ path, bytes: undefined, checksum: undefined }));
  return { commit, files };
}

function offlineError(name: string, what: string, cache: RepositoryCache): DownloadError {
  const message = `${what} (${cache.folder}), and HF_HUB_OFFLINE does not allow a request to the hub. Run the command once with HF_HUB_OFFLINE=0.`;
  return new DownloadError(name, 'offline', message);
}

async function askHub(
  name: string,
  revision: string,
  settings: HubSettings,
  means: DownloadMeans,
): Promise<{ commit: string; files: HubFile[] }> {
  const subject = subjectOf(name, revision, settings);
  const hubUrl = settings.endpoint;
  const ask = retryingFetch(subject, means);
  try {
    const { sha } = await modelInfo({ name, revision, hubUrl, additionalFields: ['sha'], fetch: ask });
    if (typeof sha !== 'string' || !isCommit(sha)) throw badListing(name);
    const files: HubFile[] = [];
    for await (const entry of listFiles({ repo: name, revision: sha, recursive: true, hubUrl, fetch: ask })) {
      if (entry.type === 'file') files.push(readEntry(entry, name));
    }
    return { commit: sha, files };
  } catch (error) {
    means.signal?.throwIfAborted();
    if (error instanceof MinigptError) throw error;
    throw badListing(name, error);
  }
}

/** `fetch` for the hub's client: tried again where that helps, and with errors of ours. */
function retryingFetch(subject: Subject, { http, wait, observer, signal }: DownloadMeans): typeof fetch {
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const accept = new Headers(init?.headers).get('accept') ?? 'application/json';
    const retries = new Retries(wait, (text) => observer.note(text));
    const { text, headers } = await retries.run(
      async () => http.text(url, subject, { headers: { accept }, signal }),
      signal,
    );
    return new Response(text, { headers });
  };
}

/** The listing is somebody else's: what becomes a path or a name on this disk is checked. */
function readEntry(
  entry: { path: unknown; size: unknown; oid?: unknown; lfs?: { oid: unknown } },
  name: string,
): HubFile {
  const { path, size, oid, lfs } = entry;
  const parts = typeof path === 'string' ? path.split('/') : [''];
  const isSafe = parts.every((part) => part !== '' && part !== '.' && part !== '..' && !/[\\:\0]/.test(part));
  if (typeof path !== 'string' || !isSafe) throw badListing(name);
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw badListing(name);
  const hex = String(lfs?.oid ?? oid);
  if (lfs !== undefined && /^[0-9a-f]{64}$/.test(hex)) return { path, bytes: size, checksum: { kind: 'sha256', hex } };
  if (lfs === undefined && isCommit(hex)) return { path, bytes: size, checksum: { kind: 'git-blob', hex } };
  return { path, bytes: size, checksum: undefined };
}

function badListing(name: string, cause?: unknown): DownloadError {
  const message = 'the hub did not answer with a list of files. Check HF_ENDPOINT.';
  return new DownloadError(name, 'bad-answer', message, { cause });
}

/** The hub states the checksum once more with the file itself. */
function refuseOtherContent(headers: Headers, checksum: Checksum, subject: Subject): void {
  const etag = headers.get('x-linked-etag')?.replace(/^W\//, '').replaceAll('"', '');
  if (etag === undefined || etag === checksum.hex) return;
  const message = `the hub lists it with the checksum ${checksum.hex}, but sends a file with the checksum ${etag}. Try again later.`;
  throw new DownloadError(subject.name, 'bad-answer', message);
}

function subjectOf(name: string, revision: string, { endpoint, token }: HubSettings): Subject {
  const page = `${endpoint}/${name}`;
  return {
    name,
    explain: (status, headers) => {
      const code = headers.get('x-error-code');
      if (code === 'RevisionNotFound') return `It has no revision "${revision}"; ${page} lists the revisions.`;
      if (status === 404) return `Check the repository and the revision "${revision}" at ${page}.`;
      if (status !== 401 && status !== 403) return undefined;
      if (token !== undefined) {
        return `The access token in HF_TOKEN has no right to read it. Open ${page}, accept the terms if the page asks for it, and check the rights of the token.`;
      }
      const gated =
        code === 'GatedRepo' ? 'Its terms must be accepted first' : 'It does not exist, or it is not public';
      return `${gated}. Open ${page}, accept the terms if the page asks for it, create an access token and set HF_TOKEN to it.`;
    },
  };
}

function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}
