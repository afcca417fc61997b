/**
 * The command line of minigpt.
 *
 * Only what `--help` needs is imported here: the image and inference libraries take longer to load than the help may take to appear, so
 * each command imports them when it runs. A command sets `process.exitCode`, or throws what kept it from doing its work.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { MinigptError } from '../errors.ts';
import { ClosedPipe, StreamDestination } from '../output/destination.ts';
import { addCommands } from './commands.ts';
import { EXIT } from './exit-codes.ts';
import { endProcess } from './process-end.ts';
import { Terminal } from './terminal/terminal.ts';

const SHORT_HELP = `minigpt describes folders of images and answers questions about them, on your own machine.

  minigpt caption photos/
  minigpt ask photos/ -q "What is the animal doing?"

"minigpt --help" lists the commands, "minigpt caption --help" the options of one.
`;

/** Runs one command line (without node and script) and ends the process. */
export async function main(argv: readonly string[]): Promise<void> {
  const terminal = new Terminal(process.stderr);
  const debug = argv.includes('--debug');
  const fail = (error: unknown): void => {
    if (error instanceof ClosedPipe) return;
    process.exitCode = reportFailure(error, terminal, debug);
  };
  // A bug outside of any awaited call must not end with Node's own exit code, which means something else here.
  process.on('uncaughtException', (error) => {
    fail(error);
    process.exit();
  });

  const output: string[] = argv.length === 0 ? [SHORT_HELP] : [];
  try {
    if (argv.length > 0) {
      const program = await buildProgram(argv, terminal, (text) => output.push(text));
      await program.parseAsync(argv, { from: 'user' });
    }
  } catch (error) {
    fail(error);
  }
  try {
    if (output.length > 0) await new StreamDestination(process.stdout, 'standard output').write(output.join(''));
  } catch (error) {
    fail(error);
  }
  await endProcess();
}

async function buildProgram(
  argv: readonly string[],
  terminal: Terminal,
  write: (text: string) => void,
): Promise<Command> {
  const program = new Command('minigpt')
    .description('Describes folders of images and answers questions about them, on your own machine.')
    .version(readVersion(), '--version', 'show the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
    .exitOverride()
    .configureOutput({
      writeOut: write,
      outputError: (text) =>
        terminal.say(
          text
            .trim()
            .replace(/^error: /, '')
            .replaceAll('\n', ' '),
        ),
    })
    .addHelpText(
      'after',
      '\nExamples:\n  minigpt caption photos/\n  minigpt ask photos/ -q "What is the animal doing?"\n\n"minigpt caption --help" shows the options of one command.',
    );
  await addCommands(program, argv);
  return program;
}

/** Tells what happened and gives the exit code. */
function reportFailure(error: unknown, terminal: Terminal, debug: boolean): number {
  // commander has told it already; its own code for a wrong usage is 1, which here means that an image failed.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.couldNotRun;
  if (debug) terminal.trace(error);
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof MinigptError) terminal.say(message);
  else terminal.say(`internal error: ${message}${debug ? '' : ' (this is a bug; --debug shows where)'}`);
  return EXIT.couldNotRun;
}

/** Same depth below the package root in `src/cli` and `dist/cli`. */
function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  return version;
}
