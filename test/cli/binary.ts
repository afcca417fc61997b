/** Runs the built program as a user does: another process, its streams, its exit code. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import { requireFreshBuild } from '../fresh-build.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PHOTOS = join(ROOT, 'examples/photos');

export const BINARY = join(ROOT, 'bin/minigpt.js');
requireFreshBuild();

/** The photographs that come with the package, sorted. */
export const photos = readdirSync(PHOTOS)
  .filter((name) => name.endsWith('.jpg'))
  .toSorted();

export type Finished = { stdout: string; stderr: string; code: number | null };

const folders: string[] = [];

afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

/** A fresh folder of a test's own, removed after the tests of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'minigpt-cli-'));
  folders.push(folder);
  return folder;
}

/** Copies a photograph of the package to `path`, making its folder. `index` goes round. */
export function placePhoto(path: string, index = 0): void {
  const name = photos[index % photos.length] ?? '';
  mkdirSync(join(path, '..'), { recursive: true });
  copyFileSync(join(PHOTOS, name), path);
}

/** Starts the program in `cwd`, out of reach of the machine's own packs and settings. */
export function start(cwd: string, args: readonly string[]): ChildProcessWithoutNullStreams {
  const env: NodeJS.ProcessEnv = { ...process.env, MINIGPT_HOME: join(cwd, '.minigpt') };
  delete env['MINIGPT_MODEL'];
  return spawn(process.execPath, [BINARY, ...args], { cwd, env });
}

/** Runs the program to its end. */
export async function minigpt(cwd: string, args: readonly string[], input = ''): Promise<Finished> {
  return finished(start(cwd, args), input);
}

/** How a process ended, as shells report it: its exit code, or 128 and the number of the signal that killed it. */
export async function exitStatus(child: ChildProcessWithoutNullStreams): Promise<number> {
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return code ?? 128 + (signal === null ? NaN : constants.signals[signal]);
}

/** Runs a shell line in which `minigpt` is the program. */
export async function shell(cwd: string, line: string): Promise<Finished> {
  const minigptFunction = `minigpt() { "${process.execPath}" "${BINARY}" "$@"; }`;
  const env: NodeJS.ProcessEnv = { ...process.env, MINIGPT_HOME: join(cwd, '.minigpt') };
  return finished(spawn('bash', ['-c', `${minigptFunction}\n${line}`], { cwd, env }), '');
}

/** The JSON Lines of an output. Fails where one is not complete. */
export function records(output: string): Record<string, unknown>[] {
  if (output !== '' && !output.endsWith('\n')) throw new Error('the last line is not complete');
  return output
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

export function lastLine(output: string): string | undefined {
  return output.trimEnd().split('\n').at(-1);
}

async function finished(child: ChildProcessWithoutNullStreams, input: string): Promise<Finished> {
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const code = new Promise<number | null>((resolve) => child.on('close', resolve));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { stdout, stderr, code: await code };
}
