/** The help of every command, as the program shows it. */
import type { Command } from 'commander';
import { buildProgram } from '../../../src/cli/program.ts';

/** Naming every command loads each of them in full. */
const EVERY_COMMAND = ['caption', 'ask', 'chat', 'match', 'models'];

/** The program with all of its commands. What it would write is dropped; what is wrong with a command line is thrown. */
export async function completeProgram(): Promise<Command> {
  return buildProgram(EVERY_COMMAND, {
    write: () => undefined,
    say: (text) => {
      throw new Error(text);
    },
  });
}

/** The program and all commands below it with their full names, such as `minigpt models import`. */
export function everyCommand(command: Command, above = ''): [string, Command][] {
  const name = `${above}${command.name()}`;
  return [[name, command], ...command.commands.flatMap((below) => everyCommand(below, `${name} `))];
}

/** The help of `command` on a stream of this width. */
export function helpOf(command: Command, width: number): string {
  let text = '';
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
    getOutHelpWidth: () => width,
  });
  command.outputHelp();
  return text;
}

/** What stands below each heading of a help text. */
export function sectionsOf(help: string): Map<string, string[]> {
  const sections = new Map<string, string[]>();
  let lines: string[] = [];
  for (const line of help.split('\n')) {
    const [, heading] = /^([A-Z]\w*):$/.exec(line) ?? [];
    if (heading !== undefined) sections.set(heading, (lines = []));
    else if (line.startsWith('  ')) lines.push(line.slice(2));
  }
  return sections;
}
