import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { requireFreshBuild } from './fresh-build.ts';

let root = '';

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'minigpt-build-'));
});

afterEach(() => {
  rmSync(root, { recursive: true });
});

/** A file that was last changed so many seconds after a fixed moment. */
function place(path: string, seconds: number): void {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, '');
  utimesSync(file, 1_700_000_000 + seconds, 1_700_000_000 + seconds);
}

test('a build that is newer than every source is tested', () => {
  place('src/errors.ts', 0);
  place('src/cli/main.ts', 5);
  place('dist/errors.js', 5);
  place('dist/cli/main.js', 6);
  expect(() => requireFreshBuild(root)).not.toThrow();
});

test('a source that was changed after the build is named', () => {
  place('src/errors.ts', 0);
  place('src/cli/main.ts', 7);
  place('dist/errors.js', 5);
  place('dist/cli/main.js', 6);
  expect(() => requireFreshBuild(root)).toThrow(
    `dist/ is older than ${join('src', 'cli', 'main.ts')}: run npm run build`,
  );
});

test('a source that was changed while the build was running is named', () => {
  place('src/errors.ts', 0.5);
  place('dist/errors.js', 0);
  place('dist/cli/main.js', 1);
  expect(() => requireFreshBuild(root)).toThrow('dist/ is older than');
});

test('a copy that was never built is named', () => {
  place('src/errors.ts', 0);
  expect(() => requireFreshBuild(root)).toThrow('dist/ is not there: run npm run build');
});
