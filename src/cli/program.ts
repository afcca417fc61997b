/** The command line as commander knows it: the program, its commands, and `help` for each of them. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { addCommands } from './commands.ts';
import { GROUP } from './help/groups.ts';
import { addHelpEnd, helpLayout, helpWidth } from './help/layout.ts';

/** Where text goes that commander makes. */
export type ProgramOutput = {
  /** Takes help and the version. */
  write: (text: string) => void;
  /** Takes what is wrong with the command line, as one line. */
  say: (text: string) => void;
};

/**
 * The program with its commands: in full where `argv` names them.
 *
 * It throws a `CommanderError` instead of ending the process.
 */
export async function buildProgram(argv: readonly string[], { write, say }: ProgramOutput): Promise<Command> {
  const program = new Command('minigpt')
    .description('Describes folders of images and answers questions about them, on your own computer.')
    .optionsGroup(GROUP.general)
    .version(readVersion(), '--version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
    .configureHelp(helpLayout)
    .exitOverride()
    .configureOutput({
      writeOut: write,
      outputError: (text) =>
        say(
          text
            .trim()
            .replace(/^error: /, '')
            .replaceAll('\n', ' '),
        ),
      getOutHelpWidth: () => helpWidth(process.stdout),
      getErrHelpWidth: () => helpWidth(process.stderr),
    });
  addHelpEnd(program, EXAMPLES, NOTES);
  await addCommands(program, argv);
  addHelpCommand(program);
  return program;
}

const EXAMPLES = [
  'minigpt caption photos/',
  'minigpt ask photos/ -q "What is the animal doing?"',
  'minigpt help caption',
  'minigpt help models import',
];

const NOTES = ['"minigpt help COMMAND" shows the options and examples of one command.'];

/** `minigpt help models import`. commander's own help command takes one name only. */
function addHelpCommand(program: Command): void {
  const help = program
    .command('help')
    .summary('show the help of a command')
    .description('Shows the help of a command.')
    .argument('[command...]', 'name of the command; for a command of "models", both names')
    .action((names: string[]) => {
      let command = program;
      for (const name of names) {
        // What follows the name of a command without subcommands is its input.
        if (command.commands.length === 0) break;
        const named = command.commands.find((known) => known.name() === name);
        if (named === undefined) help.error(`error: unknown command '${names.join(' ')}'`);
        else command = named;
      }
      command.outputHelp();
    });
  addHelpEnd(help, ['minigpt help caption', 'minigpt help models import']);
}

/** Same depth below the package root in `src/cli` and `dist/cli`. */
function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  return version;
}
