/** The examples of help and README are command lines that the program accepts, about models that exist. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { beforeAll, expect, test } from 'vitest';
import { listKnownModels, type KnownModel } from '../../../src/store/known-models.ts';
import { ROOT, shell, temporaryFolder } from '../binary.ts';
import { completeProgram, everyCommand, helpOf, sectionsOf } from './help-texts.ts';

/** The arguments of each call of minigpt in a shell script. The shell itself takes the script apart. */
async function callsIn(script: string): Promise<string[][]> {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'questions.txt'), '');
  const recorder = String.raw`minigpt() { printf '%s\037' "$@" >> calls; printf '\036' >> calls; }`;
  const { stderr } = await shell(folder, `touch calls\n${recorder}\n${script}`);
  expect(stderr).toBe('');
  const calls = readFileSync(join(folder, 'calls'), 'utf8').split('\u001e').slice(0, -1);
  return calls.map((call) => call.split('\u001f').slice(0, -1));
}

/** @throws when the program does not accept the command line. Nothing is run. */
async function parse(args: readonly string[]): Promise<void> {
  const program = await completeProgram();
  for (const [, command] of everyCommand(program)) command.action(() => undefined);
  await program.parseAsync(args, { from: 'user' });
}

const commands: [string, Command][] = everyCommand(await completeProgram());
const examples = commands.map(([name, command]): [string, string[]] => [
  name,
  sectionsOf(helpOf(command, 80)).get('Examples') ?? [],
]);
const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');

let known: KnownModel[] = [];
beforeAll(async () => {
  known = await listKnownModels();
});

test.each(examples)('the examples of %s are accepted', async (_, lines) => {
  const calls = await callsIn(lines.join('\n'));
  expect(calls).toHaveLength(lines.filter((line) => !line.startsWith(' ')).length);
  for (const call of calls) await parse(call);
});

test('an example with an option that does not exist would be noticed', async () => {
  await expect(parse(['caption', 'photos/', '--colour', 'red'])).rejects.toThrow("unknown option '--colour'");
});

test('the command lines of the README are accepted', async () => {
  const blocks = [...readme.matchAll(/^```(?:sh|console)\n([^]*?)^```/gm)].map(([, block = '']) => block);
  const typed = blocks
    .flatMap((block) => block.replaceAll('\\\n', ' ').split('\n'))
    .map((line) => line.replace(/^\$ /, '').replaceAll(/\bnode bin\/minigpt\.js\b/g, 'minigpt'))
    .flatMap((line) => /(?:^|&& )(minigpt .*)$/.exec(line)?.[1] ?? []);
  expect(typed.length).toBeGreaterThan(3);
  for (const call of await callsIn(typed.join('\n'))) await parse(call);
});

test('models of the examples and the README can be fetched or are built in', () => {
  const text = [readme, ...examples.flatMap(([, lines]) => lines)].join('\n');
  const named = [...text.matchAll(/(?:--model|models pull) ([\w./-]+)/g)].map(([, name = '']) => name);
  const repositories = known.flatMap(({ sources }) =>
    sources.flatMap((source) => (source.kind === 'address' ? [] : source.repository)),
  );
  const models = ['nano', 'ID', ...known.map(({ id }) => id), ...repositories];
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((name) => !models.includes(name))).toEqual([]);
});
