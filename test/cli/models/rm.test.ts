/** `minigpt models rm` through the built binary, with a data folder of its own. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { writePack } from '../../store/pack-folder.ts';
import { BINARY, minigpt, shell, temporaryFolder } from '../binary.ts';

let folder: string;
beforeEach(async () => {
  folder = temporaryFolder();
  await writePack(join(models(), 'mine'), 'mine', { 'a.onnx': 'x'.repeat(250_000) });
});

const models = () => join(folder, '.minigpt/models');
const run = async (...args: string[]) => minigpt(folder, ['models', 'rm', ...args], 'y\n');

test('--yes removes a pack without a question and says what was freed', async () => {
  const { stdout, stderr, code } = await run('mine', '--yes');
  expect([stdout, code]).toEqual(['', 0]);
  expect(stderr).toMatch(/^minigpt: removed mine and freed 25\d\.\d kB\n$/);
  expect(readdirSync(models())).toEqual([]);
});

test('without a terminal and without --yes nothing is removed, whatever stands on standard input', async () => {
  const { stderr, code } = await run('mine');
  expect(code).toBe(2);
  expect(stderr).toMatch(/^minigpt: removing mine \(25\d\.\d kB\) needs a confirmation, .* Add --yes\.\n$/);
  expect(readdirSync(models())).toEqual(['mine']);
});

test.each([
  ['nano', /nano is part of minigpt and cannot be removed/],
  ['other', /no model called "other" to remove\. You can remove: mine\./],
  ['../models/mine', /no model called/],
])('rm %s is refused with exit code 2', async (id, message) => {
  const { stderr, code } = await run(id, '--yes');
  expect(code).toBe(2);
  expect(stderr).toMatch(message);
  expect(readdirSync(models())).toEqual(['mine']);
});

/** `script` gives a command a terminal; its -c is that of Linux. */
const hasTerminal = process.platform === 'linux' && existsSync('/usr/bin/script');

test.skipIf(!hasTerminal).each([
  ['y', /Remove mine \(25\d\.\d kB, .*\/mine\)\? \[y\/N\] [^]*minigpt: removed mine and freed 25\d\.\d kB/, []],
  ['YES', /minigpt: removed mine/, []],
  ['n', /minigpt: mine was not removed\./, ['mine']],
  ['', /minigpt: mine was not removed\./, ['mine']],
])('on a terminal it asks, and %j is an answer', async (answer, shown, left) => {
  const line = `printf '%s\\n' '${answer}' | script -qec '"${process.execPath}" "${BINARY}" models rm mine' /dev/null`;
  const { stdout, code } = await shell(folder, line);
  expect(stdout).toMatch(shown);
  expect([code, readdirSync(models())]).toEqual([0, left]);
});
