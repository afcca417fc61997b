/**
 * A hub of its own on this machine: the listing, the redirect of large files to a second server with size and checksum in the first
 * answer's headers, ranges, and every way in which a real one fails.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Path to content. Files with these endings are large ones, as a hub stores them. */
export type Repository = Readonly<Record<string, Buffer>>;
const LARGE = /\.(safetensors|bin|pth|model)$/;

export const COMMIT = 'c0ffee'.padEnd(40, '0');
const TOKEN = 'hf_right';

/** What happens to one request instead of a proper answer. */
export type Trouble =
  | { status: number; headers?: Record<string, string>; body?: string }
  /** The connection ends after so many bytes of the body. */
  | { cutAfter: number }
  /** Other bytes are sent in the place of the file's. */
  | { content: Buffer }
  /** The body stops, and the connection stays. */
  | { silentAfter: number }
  | { ignoreRange: true }
  /** These headers are sent in the place of those of the same name. */
  | { headers: Record<string, string> };

type Seen = { server: 'hub' | 'storage'; path: string; range: string | undefined; authorization: string | undefined };

export class HubServer {
  readonly #hub: Server;
  readonly #storage: Server;
  readonly #repositories: Readonly<Record<string, Repository>>;
  readonly #troubles: { path: RegExp; trouble: Trouble }[] = [];
  /** Names of repositories whose files want a token; listings of such are open to all. */
  readonly gated = new Set<string>();
  /** Every request so far. */
  readonly requests: Seen[] = [];
  /** Bytes of files that were sent so far. */
  sent = 0;
  /** Entries on one page of a listing. */
  pageSize = 1000;
  #allowance = Number.POSITIVE_INFINITY;
  #used: () => void = () => undefined;

  private constructor(repositories: Readonly<Record<string, Repository>>) {
    this.#repositories = repositories;
    this.#hub = createServer((request, response) => this.#answer('hub', request, response));
    this.#storage = createServer((request, response) => this.#answer('storage', request, response));
  }

  static async start(repositories: Readonly<Record<string, Repository>>): Promise<HubServer> {
    const server = new HubServer(repositories);
    for (const one of [server.#hub, server.#storage]) {
      one.listen(0, '127.0.0.1');
      await once(one, 'listening');
    }
    return server;
  }

  /** Where the hub listens, for HF_ENDPOINT. */
  get endpoint(): string {
    return originOf(this.#hub);
  }

  /** Where files are that have no repository: `plain/NAME` of the repository `plain/files`. */
  plain(name: string): string {
    return `${originOf(this.#storage)}/plain/files/${name}`;
  }

  /** Gives the next request whose path matches this trouble; several wait in a row. */
  trouble(path: RegExp, trouble: Trouble): void {
    this.#troubles.push({ path, trouble });
  }

  /** Troubles that no request has met. */
  get troublesLeft(): number {
    return this.#troubles.length;
  }

  /** Sends so many bytes of files more and then nothing; resolves when they are sent. */
  async allow(bytes: number): Promise<void> {
    this.#allowance = bytes;
    return new Promise((resolve) => {
      this.#used = resolve;
    });
  }

  allowEverything(): void {
    this.#allowance = Number.POSITIVE_INFINITY;
  }

  /** Requests for the content of files, as "FILE from RANGE". */
  get downloads(): string[] {
    return this.requests
      .filter(({ server }) => server === 'storage')
      .map(({ path, range }) => `${path.split('/').slice(3).join('/')} from ${range ?? 'the start'}`);
  }

  async close(): Promise<void> {
    for (const one of [this.#hub, this.#storage]) {
      one.close();
      one.closeAllConnections();
      await once(one, 'close');
    }
  }

  #answer(server: 'hub' | 'storage', request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const path = decodeURIComponent(url.pathname);
    const { range, authorization } = request.headers;
    this.requests.push({ server, path, range, authorization });
    const index = this.#troubles.findIndex((waiting) => waiting.path.test(`${server}${path}`));
    const trouble = index < 0 ? undefined : this.#troubles.splice(index, 1)[0]?.trouble;
    if (trouble !== undefined && 'status' in trouble) {
      response.writeHead(trouble.status, trouble.headers).end(trouble.body ?? '');
      return;
    }
    if (server === 'storage') this.#sendFile(path, range, response, trouble);
    else this.#answerAsHub(url, path, authorization, range, response, trouble);
  }

  #answerAsHub(
    url: URL,
    path: string,
    authorization: string | undefined,
    range: string | undefined,
    response: ServerResponse,
    trouble: Trouble | undefined,
  ): void {
    const [, name = '', verb = '', revision = '', file = ''] =
      /^(?:\/api\/models)?\/([^/]+\/[^/]+)\/(revision|tree|resolve)\/([^/]+)(?:\/(.*))?$/.exec(path) ?? [];
    const repository = this.#repositories[name];
    const refuse = (status: number, code: string): void => {
      response.writeHead(status, { 'x-error-code': code }).end(code);
    };
    if (repository === undefined) return refuse(authorization === undefined ? 401 : 404, 'RepoNotFound');
    if (this.gated.has(name) && verb === 'resolve' && authorization !== `Bearer ${TOKEN}`) {
      return refuse(authorization === undefined ? 401 : 403, 'GatedRepo');
    }
    if (revision !== 'main' && revision !== 'v1.0' && revision !== COMMIT) return refuse(404, 'RevisionNotFound');
    if (verb === 'revision')
      return sendJson(response, { _id: '1', id: name, sha: COMMIT, gated: this.gated.has(name) });
    if (verb === 'tree') return this.#sendListing(url, repository, response);
    const content = repository[file];
    if (content === undefined) return refuse(404, 'EntryNotFound');
    const headers = {
      'x-repo-commit': COMMIT,
      ...(trouble !== undefined && 'headers' in trouble ? trouble.headers : {}),
    };
    if (!LARGE.test(file)) {
      response.setHeader('etag', `"${gitBlobId(content)}"`);
      for (const [header, value] of Object.entries(headers)) response.setHeader(header, value);
      this.#sendFile(`/${name}/${file}`, range, response, trouble);
      return;
    }
    response
      .writeHead(302, {
        location: `${originOf(this.#storage)}/${name}/${encodeURI(file)}?signature=secret`,
        'x-linked-etag': `"${sha256(content)}"`,
        'x-linked-size': String(content.length),
        ...headers,
      })
      .end('redirecting');
  }

  #sendListing(url: URL, repository: Repository, response: ServerResponse): void {
    const entries = Object.entries(repository).map(([path, content]) => ({
      type: 'file',
      path,
      size: content.length,
      oid: gitBlobId(content),
      ...(LARGE.test(path) && { lfs: { oid: sha256(content), size: content.length, pointerSize: 134 } }),
    }));
    const start = Number(url.searchParams.get('cursor') ?? 0);
    const page = entries.slice(start, start + this.pageSize);
    if (start + page.length < entries.length) {
      url.searchParams.set('cursor', String(start + page.length));
      response.setHeader('link', `<${this.endpoint}${url.pathname}${url.search}>; rel="next"`);
    }
    sendJson(response, [{ type: 'directory', path: 'qformer_tokenizer', size: 0, oid: '0'.repeat(40) }, ...page]);
  }

  #sendFile(path: string, range: string | undefined, response: ServerResponse, trouble: Trouble | undefined): void {
    const [, owner = '', name = '', ...rest] = path.split('/');
    const file = this.#repositories[`${owner}/${name}`]?.[rest.join('/')];
    if (file === undefined) {
      response.writeHead(404).end();
      return;
    }
    const content = trouble !== undefined && 'content' in trouble ? trouble.content : file;
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
    const start =
      first === undefined || (trouble !== undefined && 'ignoreRange' in trouble) ? undefined : Number(first);
    const headers: Record<string, string> = {
      'content-type': 'application/octet-stream',
      ...(owner === 'plain' && {
        etag: `"${sha256(content).slice(0, 8)}"`,
        'x-goog-hash': `crc32c=AAAAAA==, md5=${md5(content)}`,
      }),
      ...(trouble !== undefined && 'headers' in trouble ? trouble.headers : {}),
    };
    if (start === undefined) {
      response.writeHead(200, { 'content-length': String(content.length), ...headers });
      void this.#send(content, response, trouble);
    } else if (start >= content.length) {
      response.writeHead(416, { 'content-range': `bytes */${content.length}`, ...headers }).end();
    } else {
      const end = last === undefined || last === '' ? content.length : Math.min(Number(last) + 1, content.length);
      const part = content.subarray(start, end);
      const contentRange = `bytes ${start}-${end - 1}/${content.length}`;
      response.writeHead(206, { 'content-length': String(part.length), 'content-range': contentRange, ...headers });
      void this.#send(part, response, trouble);
    }
  }

  async #send(content: Buffer, response: ServerResponse, trouble: Trouble | undefined): Promise<void> {
    const stop = trouble !== undefined && 'cutAfter' in trouble ? trouble.cutAfter : undefined;
    const silent = trouble !== undefined && 'silentAfter' in trouble ? trouble.silentAfter : undefined;
    const end = Math.min(stop ?? content.length, silent ?? content.length);
    // Headers go out even where no byte of the body does.
    response.flushHeaders();
    for (let at = 0; at < end;) {
      const size = Math.min(4096, end - at, this.#allowance);
      if (size > 0 && !(await write(response, content.subarray(at, at + size)))) return;
      at += size;
      this.sent += size;
      this.#allowance -= size;
      if (this.#allowance === 0) {
        this.#used();
        return;
      }
    }
    if (stop !== undefined) response.destroy();
    else if (silent === undefined) response.end();
  }
}

/** Resolves once the bytes are on their way; false where nobody is there any more. */
async function write(response: ServerResponse, bytes: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    response.write(bytes, (error) => resolve(error === undefined || error === null));
  });
}

function originOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

export function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

export function gitBlobId(content: Buffer): string {
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
}

function md5(content: Buffer): string {
  return createHash('md5').update(content).digest('base64');
}
