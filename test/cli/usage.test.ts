import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lastLine, minigpt, shell, temporaryFolder } from './binary.ts';

let folder = '';

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('help', () => {
  test('without arguments two examples are shown', async () => {
    const { stdout, stderr, code } = await minigpt(folder, []);
    expect(stdout).toContain('minigpt caption photos/');
    expect(stdout).toContain('minigpt ask photos/ -q');
    expect([stderr, code]).toEqual(['', 0]);
  });

  test.each(['--help', 'caption --help', 'ask --help', 'models --help', 'help caption'])('minigpt %s', async (line) => {
    const { stdout, stderr, code } = await minigpt(folder, line.split(' '));
    expect(stdout).toMatch(/^Usage: minigpt/);
    expect([stderr, code]).toEqual(['', 0]);
  });

  test.each([
    ['help caption', 'caption --help'],
    ['help models', 'models --help'],
    ['help models import', 'models import --help'],
    ['models help import', 'models import --help'],
    ['help caption photos/', 'caption --help'],
    ['help', '--help'],
  ])('minigpt %s shows what minigpt %s shows', async (line, same) => {
    const shown = await minigpt(folder, line.split(' '));
    expect(shown.stdout).toMatch(/^Usage: minigpt/);
    expect(shown).toEqual(await minigpt(folder, same.split(' ')));
  });

  test.each([
    ['help captoin', 'captoin'],
    ['help models imprt', 'models imprt'],
  ])('there is none of an unknown command: minigpt %s', async (line, unknown) => {
    const { stdout, stderr, code } = await minigpt(folder, line.split(' '));
    expect([stdout, stderr, code]).toEqual(['', `minigpt: unknown command '${unknown}'\n`, 2]);
  });

  test('models alone is not a command: its help goes to stderr', async () => {
    const { stdout, stderr, code } = await minigpt(folder, ['models']);
    expect(stderr).toMatch(/^Usage: minigpt models/);
    expect([stdout, code]).toEqual(['', 2]);
  });

  test('--version is that of the package', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect(await minigpt(folder, ['--version'])).toEqual({ stdout: `${version}\n`, stderr: '', code: 0 });
  });

  test('a reader that wants nothing of it is no failure', async () => {
    const { stderr, stdout } = await shell(folder, 'minigpt --help | true; echo "${PIPESTATUS[0]}"');
    expect([stdout, stderr]).toEqual(['0\n', '']);
  });
});

describe('a command line that makes no sense is refused with exit code 2', () => {
  test.each([
    [['captoin'], "minigpt: unknown command 'captoin' (Did you mean caption?)"],
    [['--frob'], "minigpt: unknown option '--frob'"],
    [['caption', '.', '--treads', '2'], "minigpt: unknown option '--treads' (Did you mean --threads?)"],
    [['caption', '.', '--threads', 'two'], "option '--threads <n>' argument 'two' is invalid"],
    [['caption', '.', '--batch-size', '0'], 'It should be a whole number from 1 to 1024, or auto.'],
    [['caption', '.', '--max-pixels', '-5'], "argument '-5' is invalid"],
    [['caption', '.', '--format', 'xml'], 'Allowed choices are jsonl, csv, text.'],
    [['caption', '.', '--progress', 'bar'], 'stderr is not a terminal'],
    [['caption', '.', '-q', '-v'], "cannot be used with option '-q, --quiet'"],
    [['caption'], 'no images given'],
    [['caption', '.', '--null'], 'there is no --files-from'],
    [['caption', '.', '--files-from', 'none.txt'], '--files-from none.txt: there is no such file.'],
    [['caption', '.', '-o', 'x.json'], 'the ending does not say which format to write'],
    [['ask', '.'], "required option '-q, --question <text>' not specified"],
    [['ask', '.', '-q'], "option '-q, --question <text>' argument missing"],
    [['ask', '.', '-q', ' '], 'A question must not be empty.'],
  ])('%j', async (args, message) => {
    const { stdout, stderr, code } = await minigpt(folder, args);
    expect(lastLine(stderr)).toContain(message);
    expect([stdout, code]).toEqual(['', 2]);
  });

  test.each(['--resume', '--overwrite', '--sidecar', '--html', '--device', '--shard', '--bom'])(
    'what is not there yet is not silently accepted: %s',
    async (option) => {
      const { stderr, code } = await minigpt(folder, ['caption', '.', option]);
      expect(stderr).toContain(`minigpt: unknown option '${option}'`);
      expect(code).toBe(2);
    },
  );

  test('control characters of an argument do not reach the terminal', async () => {
    const { stderr } = await minigpt(folder, ['\u001b[31mred']);
    expect(stderr).toContain("unknown command '\\x1b[31mred'");
  });
});

describe('what can be refused is refused before anything is done', () => {
  test('an output file with content, which stays as it is', async () => {
    writeFileSync(join(folder, 'x.jsonl'), 'precious\n');
    const { stderr, code } = await minigpt(folder, ['caption', '.', '-o', 'x.jsonl']);
    expect(stderr).toBe('minigpt: x.jsonl: the file exists and is not empty. Choose another name or move it away.\n');
    expect(code).toBe(2);
    expect(readFileSync(join(folder, 'x.jsonl'), 'utf8')).toBe('precious\n');
  });

  test('a folder without images; no output file is left behind', async () => {
    mkdirSync(join(folder, 'empty'));
    const { stdout, stderr, code } = await minigpt(folder, ['caption', 'empty', '-o', 'x.jsonl']);
    expect(lastLine(stderr)).toBe('minigpt: no images found: nothing matched in empty.');
    expect([stdout, code]).toEqual(['', 2]);
    expect(existsSync(join(folder, 'x.jsonl'))).toBe(false);
  });

  test('an empty list', async () => {
    const { stderr, code } = await minigpt(folder, ['caption', '--files-from', '-'], '\n');
    expect(lastLine(stderr)).toBe('minigpt: no images found: the list names no images.');
    expect(code).toBe(2);
  });

  test('a model that is not here; --debug shows where that was noticed', async () => {
    writeFileSync(join(folder, 'a.jpg'), '');
    const run = ['caption', 'a.jpg', '--model', 'none'];
    const { stdout, stderr, code } = await minigpt(folder, run);
    expect(stderr).toMatch(/^minigpt: there is no model called "none"\. [^\n]*\n$/);
    expect([stdout, code]).toEqual(['', 2]);
    expect((await minigpt(folder, [...run, '--debug'])).stderr).toMatch(/^ +at /m);
  });
});
