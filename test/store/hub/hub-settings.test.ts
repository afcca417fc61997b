import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { UsageError } from '../../../src/errors.ts';
import { readHubSettings } from '../../../src/store/hub/hub-settings.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'minigpt-hf-'));
  for (const name of [
    'HF_HUB_CACHE',
    'HUGGINGFACE_HUB_CACHE',
    'HF_ENDPOINT',
    'HF_TOKEN',
    'HF_TOKEN_PATH',
    'HF_HUB_OFFLINE',
  ]) {
    vi.stubEnv(name, undefined);
  }
  vi.stubEnv('HF_HOME', home);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(home, { recursive: true });
});

test('without any variable it is the public hub, the shared cache and no token', async () => {
  expect(await readHubSettings()).toEqual({
    endpoint: 'https://huggingface.co',
    cacheFolder: join(home, 'hub'),
    token: undefined,
    offline: false,
  });
});

describe('the cache', () => {
  test('is HF_HUB_CACHE before HF_HOME', async () => {
    vi.stubEnv('HF_HUB_CACHE', join(home, 'elsewhere'));
    expect((await readHubSettings()).cacheFolder).toBe(join(home, 'elsewhere'));
  });

  test('may begin with the home folder', async () => {
    vi.stubEnv('HF_HUB_CACHE', '~/models');
    expect((await readHubSettings()).cacheFolder).toBe(join(homedir(), 'models'));
  });
});

describe('the endpoint', () => {
  test('loses slashes at its end', async () => {
    vi.stubEnv('HF_ENDPOINT', 'https://mirror.example/hub//');
    expect((await readHubSettings()).endpoint).toBe('https://mirror.example/hub');
  });

  test.each(['mirror', 'ftp://mirror.example', 'https://'])('%j is refused', async (value) => {
    vi.stubEnv('HF_ENDPOINT', value);
    await expect(readHubSettings()).rejects.toThrow(UsageError);
  });
});

describe('the token', () => {
  test('is HF_TOKEN, without the newline that copying adds', async () => {
    vi.stubEnv('HF_TOKEN', ' hf_abc\n');
    expect((await readHubSettings()).token).toBe('hf_abc');
  });

  test('is that of a login where HF_TOKEN is not set or empty', async () => {
    await writeFile(join(home, 'token'), 'hf_login\n');
    expect((await readHubSettings()).token).toBe('hf_login');
    vi.stubEnv('HF_TOKEN', '');
    expect((await readHubSettings()).token).toBe('hf_login');
  });

  test('with characters that no token has is refused, and not repeated', async () => {
    vi.stubEnv('HF_TOKEN', 'hf_a\nb');
    const failing = readHubSettings();
    await expect(failing).rejects.toThrow(UsageError);
    await expect(failing).rejects.not.toThrow(/hf_a/);
  });
});

test.each(['1', 'ON', 'yes', 'True'])('HF_HUB_OFFLINE=%s forbids to ask the hub', async (value) => {
  vi.stubEnv('HF_HUB_OFFLINE', value);
  expect((await readHubSettings()).offline).toBe(true);
});

test.each(['0', '', 'off', 'no'])('HF_HUB_OFFLINE=%s does not', async (value) => {
  vi.stubEnv('HF_HUB_OFFLINE', value);
  expect((await readHubSettings()).offline).toBe(false);
});
