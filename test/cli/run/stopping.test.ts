import { existsSync, linkSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  BINARY,
  exitStatus,
  lastLine,
  minigpt,
  placePhoto,
  records,
  shell,
  start,
  temporaryFolder,
} from '../binary.ts';
import { FakeTerminal } from '../terminal/screen.ts';

/** Enough that the run cannot be over before the test has reacted to its first line. */
const MANY = 400;

let folder = '';

beforeEach(() => {
  folder = temporaryFolder();
  mkdirSync(join(folder, 'photos'));
  placePhoto(join(folder, 'photos/0000.jpg'));
  for (let index = 1; index < MANY; index++) {
    linkSync(join(folder, 'photos/0000.jpg'), join(folder, `photos/${String(index).padStart(4, '0')}.jpg`));
  }
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe.skipIf(process.platform === 'win32')('a run that does not reach its end', () => {
  test.each(['head -1', 'head -c 20', 'true'])('is quiet and no failure when `%s` reads it', async (reader) => {
    const { stdout, stderr } = await shell(
      folder,
      `minigpt caption photos --progress none 2> err.txt | ${reader} > out.txt; echo "\${PIPESTATUS[0]}"`,
    );
    expect([stdout, stderr]).toEqual(['0\n', '']);
    expect(readFileSync(join(folder, 'err.txt'), 'utf8')).toBe('');
    if (reader === 'head -1') expect(records(readFileSync(join(folder, 'out.txt'), 'utf8'))).toHaveLength(1);
  });

  test.each([
    ['SIGINT', 130, 'interrupted'],
    ['SIGTERM', 143, 'terminated'],
  ] as const)('%s leaves complete lines, says how to go on and ends with %i', async (signal, exitCode, word) => {
    const child = start(folder, ['caption', 'photos', '--progress', 'none']);
    const stderr = text(child.stderr);
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      if (stdout === '') child.kill(signal);
      stdout += chunk;
    });
    const status = await exitStatus(child);
    const written = records(stdout);
    expect(status).toBe(exitCode);
    expect(written.length).toBeGreaterThan(0);
    expect(written.length).toBeLessThan(MANY);
    const next = `photos/${String(written.length).padStart(4, '0')}.jpg`;
    const images = written.length === 1 ? '1 image' : `${written.length} images`;
    expect(await stderr).toBe(
      `minigpt: ${word}: ${images} captioned, ${MANY - written.length} left. Every written line is complete. To continue, start at ${next}.\n`,
    );
  });

  test('an interrupted file holds complete lines', async () => {
    const child = start(folder, ['caption', 'photos', '-o', 'x.jsonl', '--progress', 'none', '--verbose']);
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
    const file = join(folder, 'x.jsonl');
    while (!existsSync(file)) await new Promise((resolve) => setImmediate(resolve));
    child.kill('SIGINT');
    expect(await exitStatus(child)).toBe(130);
    expect(records(readFileSync(file, 'utf8')).length).toBeLessThan(MANY);
    expect(lastLine(stderr)).toMatch(/^minigpt: interrupted/);
  });

  test.skipIf(!existsSync('/dev/full'))('a full disk ends it with exit code 2 and says so last', async () => {
    const onStdout = await shell(folder, 'minigpt caption photos > /dev/full');
    expect(lastLine(onStdout.stderr)).toBe('minigpt: standard output: cannot write: the disk is full.');
    expect(onStdout.code).toBe(2);
    const inFile = await minigpt(folder, ['caption', 'photos', '-o', '/dev/full', '--format', 'csv']);
    expect(lastLine(inFile.stderr)).toBe('minigpt: /dev/full: cannot write: the disk is full.');
    expect(inFile.code).toBe(2);
  });

  test('a second signal ends it at once, as the system does', async () => {
    const child = start(folder, ['caption', 'photos', '-o', 'x.jsonl', '--progress', 'none']);
    child.stderr.setEncoding('utf8').on('data', () => child.kill('SIGINT'));
    const file = join(folder, 'x.jsonl');
    while (!existsSync(file)) await new Promise((resolve) => setImmediate(resolve));
    child.kill('SIGINT');
    expect(await exitStatus(child)).toBe(130);
    expect(records(readFileSync(file, 'utf8')).length).toBeLessThan(MANY);
  });
});

const hasScript = process.platform === 'linux' && existsSync('/usr/bin/script');

test.skipIf(!hasScript)('on a terminal, results are text and the bar never runs into them', async () => {
  placePhoto(join(folder, 'few/a.jpg'), 0);
  placePhoto(join(folder, 'few/b.jpg'), 1);
  const { stdout } = await shell(
    folder,
    `script -qec 'stty cols 100; "${process.execPath}" "${BINARY}" caption few' /dev/null < /dev/null`,
  );
  const screen = new FakeTerminal(100);
  screen.write(stdout.replaceAll('\r\n', '\n'));
  expect(stdout).toContain('0/2');
  expect(screen.rows).toEqual([
    expect.stringMatching(/^few\/a\.jpg: [a-z ]+$/),
    expect.stringMatching(/^few\/b\.jpg: [a-z ]+$/),
    expect.stringMatching(/^minigpt: 2 images captioned in /),
    '',
  ]);
});
