import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { requireFreshBuild } from '../../fresh-build.ts';
import { acceptable, badFiles, goodFiles, MARKER, PICKLES } from './checkpoint-fixtures.ts';

const PROGRAM = fileURLToPath(new URL('./open-fixtures.mjs', import.meta.url));
const DIST = new URL('../../../dist/', import.meta.url).href;
requireFreshBuild();

/** A flag of Node 20 that lost its prefix later. */
const PERMISSION = process.allowedNodeEnvironmentFlags.has('--permission')
  ? '--permission'
  : '--experimental-permission';

type Outcome = { file: string; fault: string; tensors: Record<string, string> };

/** Opens all files in a process that may read files, and neither write any, nor start a process or a thread. */
async function openInConfinement(files: readonly string[]): Promise<Map<string, Outcome>> {
  const flags = [PERMISSION, '--allow-fs-read=*', '--max-old-space-size=64', '--no-warnings'];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [...flags, PROGRAM, DIST, PICKLES, ...files]);
  expect(stderr).toBe('');
  const outcomes = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Outcome);
  return new Map(outcomes.map((outcome) => [outcome.file, outcome]));
}

describe('in 64 MB of memory, without the right to write a file or to start a program', () => {
  let outcomes: Map<string, Outcome>;
  beforeAll(async () => {
    outcomes = await openInConfinement([...goodFiles, ...badFiles].map(([file]) => file));
  });

  test('every good file is read', () => {
    for (const [file, { state_dict: at, tensors }] of goodFiles) {
      const prefix = at === '' ? '' : `${at}.`;
      const wanted = Object.entries(tensors).filter(([path]) => path.startsWith(prefix));
      expect(outcomes.get(file)).toEqual({
        file,
        fault: 'none',
        tensors: Object.fromEntries(wanted.map(([path, { sha256 }]) => [path.slice(prefix.length), sha256])),
      });
    }
  });

  test('every bad file ends in its own kind of fault', () => {
    for (const [file, bad] of badFiles) expect([file, ...acceptable(bad)]).toContain(outcomes.get(file)?.fault);
  });

  test('nothing was run', () => {
    expect(outcomes.size).toBe(goodFiles.length + badFiles.length);
    expect(existsSync(MARKER)).toBe(false);
  });
});
