import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DownloadError } from '../../../src/errors.ts';
import { HttpClient } from '../../../src/store/download/http-client.ts';
import { connectionFailure } from '../../../src/store/download/http-failures.ts';
import { PassingFailure } from '../../../src/store/download/retries.ts';
import { COMMIT, HubServer, sha256 } from '../hub-server.ts';

const CONTENT = Buffer.from('weights');

let server: HubServer;
let url: URL;
beforeEach(async () => {
  server = await HubServer.start({ 'org/name': { 'model.safetensors': CONTENT, 'config.json': Buffer.from('{}') } });
  url = new URL(`${server.endpoint}/org/name/resolve/${COMMIT}/model.safetensors`);
});
afterEach(async () => server.close());

const subject = { name: 'the file' };

test('a redirect is followed, and what the first server said is not lost', async () => {
  const answer = await new HttpClient().get(url, subject);
  expect(answer.firstHeaders.get('x-linked-etag')).toBe(`"${sha256(CONTENT)}"`);
  expect(answer.headers.get('x-linked-etag')).toBeNull();
  expect(`http://${answer.host}`).not.toBe(server.endpoint);
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.body) chunks.push(chunk);
  expect(Buffer.concat(chunks)).toEqual(CONTENT);
});

test('the access token is sent to its own server only', async () => {
  const http = new HttpClient({
    authorization: (address) => (address.origin === server.endpoint ? 'Bearer hf_right' : undefined),
  });
  await (await http.get(url, subject)).close();
  expect(server.requests.map(({ server: where, authorization }) => [where, authorization])).toEqual([
    ['hub', 'Bearer hf_right'],
    ['storage', undefined],
  ]);
});

test.each(['ftp://example.org/a', 'file:///etc/passwd', 'http://[', 'javascript:1'])(
  'a redirect to %j is refused',
  async (location) => {
    server.trouble(/hub/, { status: 302, headers: { location } });
    await expect(new HttpClient().get(url, subject)).rejects.toMatchObject({ fault: 'bad-answer' });
  },
);

test('redirects in a circle end', async () => {
  for (let times = 0; times <= 10; times++) server.trouble(/hub/, { status: 307, headers: { location: url.pathname } });
  await expect(new HttpClient().get(url, subject)).rejects.toThrow(/redirects more than 10 times/);
});

test('nothing is asked to be packed, because lengths would differ', async () => {
  const seen: (string | null)[] = [];
  const original = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    seen.push(new Headers(init?.headers).get('accept-encoding'));
    return original(input, init);
  };
  try {
    await (await new HttpClient().get(url, subject)).close();
  } finally {
    globalThis.fetch = original;
  }
  expect(seen).toEqual(['identity', 'identity']);
});

describe('what cannot be reached', () => {
  test('is named with the reason, and may pass', async () => {
    const nowhere = new URL(server.endpoint);
    await server.close();
    const failing = new HttpClient().get(nowhere, subject);
    await expect(failing).rejects.toThrow(PassingFailure);
    await expect(failing).rejects.toThrow(`the connection to ${nowhere.host} failed (ECONNREFUSED)`);
    server = await HubServer.start({});
  });

  test('because its certificate is not trusted does not pass, and the way out is named', () => {
    const cause = Object.assign(new Error('self-signed'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    const error = connectionFailure(new TypeError('fetch failed', { cause }), 'hub.example', subject);
    expect(error).toBeInstanceOf(DownloadError);
    expect(error).toMatchObject({ fault: 'connection', message: expect.stringMatching(/NODE_EXTRA_CA_CERTS/) });
  });
});

test('an abort is not mistaken for a broken connection', async () => {
  const reason = new Error('enough');
  await expect(new HttpClient().get(url, subject, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});

test('what the owner of a file knows of a refusal is part of the message', async () => {
  server.trouble(/hub/, { status: 403 });
  const explained = { name: 'the file', explain: (status: number) => `Ask for ${status}.` };
  await expect(new HttpClient().get(url, explained)).rejects.toThrow(/refuses access \(403\)\. Ask for 403\./);
});
