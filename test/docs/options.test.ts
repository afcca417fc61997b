/** docs/cli.md lists the options that the commands have, no more and no fewer, and the columns that CSV has. */
import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { addCommands } from '../../src/cli/commands.ts';
import { csv } from '../../src/output/csv.ts';
import type { RecordKind } from '../../src/output/record.ts';
import { codeSpansOf, readPage, sectionOf, tableRowsOf } from './pages.ts';

const page = readPage('docs/cli.md');

/** Options by command, as `--help` writes them; the command of a subcommand is `models pull`. */
type OptionsByCommand = Record<string, string[]>;

/** Every command in full, as the program builds them. */
async function definedOptions(): Promise<OptionsByCommand> {
  const listed = new Command();
  await addCommands(listed, []);
  const names = listed.commands.map((command) => command.name());
  const program = new Command();
  await addCommands(program, names);
  const found: OptionsByCommand = {};
  const visit = (command: Command, path: string): void => {
    if (command.options.length > 0) found[path] = command.options.map(({ flags }) => flags).toSorted();
    for (const sub of command.commands) visit(sub, `${path} ${sub.name()}`);
  };
  for (const command of program.commands) visit(command, command.name());
  return found;
}

function documentedOptions(): OptionsByCommand {
  const found: OptionsByCommand = {};
  for (const [option = '', commands = ''] of tableRowsOf(sectionOf(page, '## Options'))) {
    const [flags = ''] = codeSpansOf(option);
    for (const command of commands.split(/, */)) if (command !== 'minigpt') (found[command] ??= []).push(flags);
  }
  for (const options of Object.values(found)) options.sort();
  return found;
}

test('every option stands in a table of docs/cli.md with the commands that know it', async () => {
  const defined = await definedOptions();
  expect(Object.keys(defined)).toEqual(expect.arrayContaining(['caption', 'ask', 'chat', 'match', 'models pull']));
  expect(documentedOptions()).toEqual(defined);
});

describe('docs/cli.md lists the columns of CSV', () => {
  const rows = tableRowsOf(sectionOf(page, '### CSV'));
  const kinds: readonly [string, RecordKind][] = [
    ['caption', 'caption'],
    ['caption --all-wordings', 'wordings'],
    ['ask', 'ask'],
    ['match', 'match'],
    ['match --top', 'rank'],
  ];

  test.each(kinds)('of %s', (command, kind) => {
    const row = rows.find(([name = '']) => codeSpansOf(name)[0] === command) ?? [];
    const [, plain = [], details = [], scores = []] = row.map(codeSpansOf);
    expect(`${plain.join(',')}\r\n`).toBe(csv({ kind, details: false }).header);
    expect(`${[...plain, ...details].join(',')}\r\n`).toBe(csv({ kind, details: true }).header);
    if (kind === 'ask') {
      expect(`${[...plain, ...scores].join(',')}\r\n`).toBe(csv({ kind, details: false, scores: true }).header);
    }
  });
});
