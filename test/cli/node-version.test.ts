import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BINARY, ROOT } from './binary.ts';

/** The built program in a Node that takes itself for another version. */
function minigptOn(version: string): { stdout: string; stderr: string; status: number | null } {
  const pretend = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } });`;
  const args = ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`, BINARY, '--version'];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  return { stdout, stderr, status };
}

const { engines, version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  engines: { node: string };
  version: string;
};

test.each(['8.17.0', '18.20.8', '20.0.0', '20.8.1'])('Node %s is told which one is needed', (older) => {
  const message = `minigpt: this is Node ${older}, and Node 20.9 or newer is needed. Install one from https://nodejs.org\n`;
  expect(minigptOn(older)).toEqual({ stdout: '', stderr: message, status: 2 });
});

test.each(['20.9.0', '20.9.1', '20.10.0', '22.0.0', '100.0.0', '27.0.0-nightly20260101'])(
  'Node %s is used',
  (newer) => {
    expect(minigptOn(newer)).toEqual({ stdout: `${version}\n`, stderr: '', status: 0 });
  },
);

test('package.json states the needed version as the program reads it', () => {
  expect(engines.node).toMatch(/^>=\d+\.\d+$/);
});
