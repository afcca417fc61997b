/**
 * The environment variables that all tools of the Hugging Face hub share, so that minigpt finds their downloads and they find ours.
 *
 * HF_HUB_CACHE, HF_HOME and XDG_CACHE_HOME say where the cache is, HF_ENDPOINT which hub is asked, HF_TOKEN (or the token that a login of
 * the hub's own tools left) who asks, and HF_HUB_OFFLINE that nothing is asked at all.
 */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { getHFHubCachePath, HUB_URL } from '@huggingface/hub';
import { UsageError } from '../../errors.ts';

export type HubSettings = {
  /** Without a slash at the end. */
  endpoint: string;
  cacheFolder: string;
  token: string | undefined;
  offline: boolean;
};

/** @throws UsageError when a variable holds what cannot be meant. */
export async function readHubSettings(): Promise<HubSettings> {
  const offline = isTrue(process.env['HF_HUB_OFFLINE']);
  return {
    endpoint: readEndpoint(process.env['HF_ENDPOINT']),
    cacheFolder: expandHome(getHFHubCachePath()),
    token: offline ? undefined : await readToken(),
    offline,
  };
}

function readEndpoint(value: string | undefined): string {
  if (value === undefined || value === '') return HUB_URL;
  if (!URL.canParse(value) || !/^https?:$/.test(new URL(value).protocol)) {
    throw new UsageError(`HF_ENDPOINT should be an address such as ${HUB_URL} but is "${value}".`);
  }
  return value.replace(/\/+$/, '');
}

/** As the hub's own tools read it. */
function isTrue(value: string | undefined): boolean {
  return value !== undefined && /^(1|on|yes|true)$/i.test(value);
}

async function readToken(): Promise<string | undefined> {
  const variable = process.env['HF_TOKEN']?.trim();
  // An empty variable counts as none, and so does an empty file.
  const token = variable === undefined || variable === '' ? await readLogin() : variable;
  if (token === undefined || token === '') return undefined;
  if (/[^\x21-\x7e]/.test(token)) {
    throw new UsageError('the access token in HF_TOKEN contains characters that no token has. Copy it again.');
  }
  return token;
}

/** The token that a login with the hub's own tools stored. */
async function readLogin(): Promise<string | undefined> {
  const home =
    process.env['HF_HOME'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'huggingface');
  const path = expandHome(process.env['HF_TOKEN_PATH'] ?? join(home, 'token'));
  return readFile(path, 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  );
}

/** `~` is the shell's, but the hub's own tools understand it in these variables too. */
function expandHome(path: string): string {
  return resolve(path === '~' || /^~[/\\]/.test(path) ? join(homedir(), path.slice(1)) : path);
}
