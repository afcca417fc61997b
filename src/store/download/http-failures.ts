/** Answers that are no success and connections that fail, as errors: those that may pass by themselves, and those that will not. */
import { DownloadError, MinigptError, systemErrorCode } from '../../errors.ts';
import { parseRetryAfter, PassingFailure } from './retries.ts';

/** What is asked for, as messages name it, and what its owner knows of a refusal. */
export type Subject = {
  /** Such as "Salesforce/blip2-opt-2.7b, config.json", or an address. */
  name: string;
  /** What a refusal with this status probably means and what to do, in whole sentences. */
  explain?: (status: number, headers: Headers) => string | undefined;
};

const PASSING_STATUS = new Set([408, 429, 500, 502, 503, 504]);

/** The error for an answer with this status. */
export function refusal(
  status: number,
  headers: Headers,
  host: string,
  subject: Subject,
): DownloadError | PassingFailure {
  if (PASSING_STATUS.has(status)) {
    const retryAfterMs = parseRetryAfter(headers.get('retry-after'));
    if (status === 429) {
      const message = `${host} received too many requests from here (429)`;
      return new PassingFailure(subject.name, 'too-many-requests', message, { retryAfterMs });
    }
    return new PassingFailure(subject.name, 'server-error', `${host} reports an internal error (${status})`, {
      retryAfterMs,
    });
  }
  const explanation = subject.explain?.(status, headers);
  if (status === 401 || status === 403) {
    const advice = explanation ?? 'It may no longer be public. Check the page where it was published.';
    return new DownloadError(subject.name, 'access-refused', `${host} refuses access (${status}). ${advice}`);
  }
  if (status === 404 || status === 410) {
    const advice = explanation ?? 'It may have been moved. Check the page where it was published.';
    return new DownloadError(subject.name, 'not-found', `${host} has no such file (${status}). ${advice}`);
  }
  const advice = explanation ?? 'Try again later.';
  return new DownloadError(
    subject.name,
    'bad-answer',
    `${host} answers with status ${status} instead of the file. ${advice}`,
  );
}

/** What Node calls a certificate that it does not trust. */
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/;

/** The error for what `fetch` threw. What is an error of ours already stays as it is. */
export function connectionFailure(error: unknown, host: string, subject: Subject): unknown {
  if (error instanceof MinigptError || error instanceof PassingFailure || !(error instanceof Error)) return error;
  const code = systemErrorCode(error.cause) ?? systemErrorCode(error);
  const reason = code ?? (error.cause instanceof Error ? error.cause.message : error.message);
  if (code !== undefined && CERTIFICATE.test(code)) {
    const advice = 'If a proxy inspects secure connections, set NODE_EXTRA_CA_CERTS to the file of its certificate.';
    const message = `the certificate of ${host} is not trusted (${code}). ${advice}`;
    return new DownloadError(subject.name, 'connection', message, { cause: error });
  }
  const message = `the connection to ${host} failed (${reason})`;
  return new PassingFailure(subject.name, 'connection', message, { cause: error });
}
