/**
 * Requests as a download needs them, on top of Node's `fetch`: redirects are followed here, so that the first answer's headers can be read
 * (the hub states a file's size and checksum there, its storage servers do not) and the access token never leaves the hub.
 *
 * A connection on which nothing arrives for a minute is given up.
 */
import { DownloadError } from '../../errors.ts';
import { connectionFailure, refusal, type Subject } from './http-failures.ts';

const MOST_REDIRECTS = 10;
const SILENCE_MS = 60_000;
/** Listings are small; what is larger is none. */
const MOST_TEXT_BYTES = 64 * 2 ** 20;

export type Answer = {
  status: number;
  headers: Headers;
  /** Of the server that was asked first; the same as `headers` where it did not redirect. */
  firstHeaders: Headers;
  /** The server that answers in the end. */
  host: string;
  /** Iterating throws a PassingFailure when the connection breaks off. */
  body: AsyncIterable<Uint8Array>;
  /** Leaves the rest of the body unread. */
  close: () => Promise<void>;
};

export type RequestOptions = { headers?: Readonly<Record<string, string>>; signal?: AbortSignal | undefined };

export type HttpOptions = {
  /** Gives the value of the Authorization header for an address that is entitled to it. */
  authorization?: (url: URL) => string | undefined;
  /** How long a connection may be silent. */
  silenceMs?: number;
};

export class HttpClient {
  readonly #authorization: (url: URL) => string | undefined;
  readonly #silenceMs: number;

  constructor(options: HttpOptions = {}) {
    this.#authorization = options.authorization ?? (() => undefined);
    this.#silenceMs = options.silenceMs ?? SILENCE_MS;
  }

  /**
   * One attempt at a GET request. The answer is a success (2xx) or 416; its body must be read or closed.
   *
   * @throws PassingFailure where another attempt makes sense; DownloadError for every other answer; the signal's reason.
   */
  async get(url: URL, subject: Subject, { headers = {}, signal }: RequestOptions = {}): Promise<Answer> {
    const silence = new Silence(this.#silenceMs, signal);
    try {
      const { response, firstHeaders, host } = await this.#follow(url, subject, headers, silence.signal);
      if (!response.ok && response.status !== 416) {
        await response.body?.cancel();
        throw refusal(response.status, response.headers, host, subject);
      }
      const close = async (): Promise<void> => {
        silence.end();
        await response.body?.cancel().catch(() => undefined);
      };
      const body = bodyOf(response, host, subject, silence, signal);
      return { status: response.status, headers: response.headers, firstHeaders, host, body, close };
    } catch (error) {
      silence.end();
      signal?.throwIfAborted();
      throw connectionFailure(error, url.host, subject);
    }
  }

  /** The whole body of a small answer. Throws like `get`. */
  async text(url: URL, subject: Subject, options: RequestOptions = {}): Promise<{ text: string; headers: Headers }> {
    const answer = await this.get(url, subject, options);
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of answer.body) {
      bytes += chunk.length;
      if (bytes > MOST_TEXT_BYTES) {
        await answer.close();
        const message = `${answer.host} answers with more than ${MOST_TEXT_BYTES} bytes where a listing was expected.`;
        throw new DownloadError(subject.name, 'bad-answer', message);
      }
      chunks.push(chunk);
    }
    return { text: Buffer.concat(chunks).toString('utf8'), headers: answer.headers };
  }

  async #follow(
    url: URL,
    subject: Subject,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<{ response: Response; firstHeaders: Headers; host: string }> {
    let here = url;
    let firstHeaders: Headers | undefined;
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
      const authorization = this.#authorization(here);
      const response = await fetch(here, {
        redirect: 'manual',
        signal,
        headers: {
          'user-agent': 'minigpt',
          // A packed body would have another length than the file.
          'accept-encoding': 'identity',
          ...headers,
          ...(authorization !== undefined && { authorization }),
        },
      });
      firstHeaders ??= response.headers;
      const location = response.headers.get('location');
      if (response.status < 300 || response.status > 399 || location === null) {
        return { response, firstHeaders, host: here.host };
      }
      await response.body?.cancel();
      here = redirected(here, location, subject);
    }
    const message = `${url.host} redirects more than ${MOST_REDIRECTS} times.`;
    throw new DownloadError(subject.name, 'bad-answer', message);
  }
}

function redirected(from: URL, location: string, subject: Subject): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  const isSafe = to?.protocol === 'https:' || (to?.protocol === 'http:' && from.protocol === 'http:');
  if (to !== undefined && isSafe) return to;
  const message = `${from.host} redirects to an address that cannot be followed or is less secure than its own.`;
  throw new DownloadError(subject.name, 'bad-answer', message);
}

async function* bodyOf(
  response: Response,
  host: string,
  subject: Subject,
  silence: Silence,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  try {
    // An answer may have no body.
    for await (const chunk of response.body ?? []) {
      // While a slow disk takes the data, the silence is ours.
      silence.end();
      yield chunk;
      silence.begin();
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw connectionFailure(error, host, subject);
  } finally {
    silence.end();
  }
}

/** A signal that aborts when nothing has been heard for some time, or when `signal` does. */
class Silence {
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #milliseconds: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(milliseconds: number, signal: AbortSignal | undefined) {
    this.#milliseconds = milliseconds;
    const own = this.#controller.signal;
    this.signal = signal === undefined ? own : AbortSignal.any([signal, own]);
    this.begin();
  }

  /** The time begins anew. */
  begin(): void {
    this.end();
    this.#timer = setTimeout(() => {
      this.#controller.abort(new Error(`nothing arrived for ${this.#milliseconds / 1000} s`));
    }, this.#milliseconds);
  }

  /** Nothing is expected for now. */
  end(): void {
    clearTimeout(this.#timer);
  }
}
