/**
 * The command line of minigpt.
 *
 * Only what `--help` needs is imported here. The image and inference libraries load slowly, so each command imports them when it runs.
 * A command sets `process.exitCode`, or throws an error that says why it could not do its work.
 */
import { CommanderError } from 'commander';
import { MinigptError } from '../errors.ts';
import { ClosedPipe, StreamDestination } from '../output/destination.ts';
import { EXIT } from './exit-codes.ts';
import { endProcess } from './process-end.ts';
import { buildProgram } from './program.ts';
import { Terminal } from './terminal/terminal.ts';

const SHORT_HELP = `minigpt describes folders of images and answers questions about them,
on your own computer.

  minigpt caption photos/
  minigpt ask photos/ -q "What is the animal doing?"

"minigpt --help" lists all commands. "minigpt caption --help" lists the options of one.
`;

/** Runs one command line (without node and script) and ends the process. */
export async function main(argv: readonly string[]): Promise<void> {
  const terminal = new Terminal(process.stderr);
  const debug = argv.includes('--debug');
  const fail = (error: unknown): void => {
    if (error instanceof ClosedPipe) return;
    process.exitCode = reportFailure(error, terminal, debug);
  };
  // A bug outside of an awaited call must not end with Node's own exit code, which has another meaning here.
  process.on('uncaughtException', (error) => {
    fail(error);
    process.exit();
  });

  const output: string[] = argv.length === 0 ? [SHORT_HELP] : [];
  try {
    if (argv.length > 0) {
      const program = await buildProgram(argv, {
        write: (text) => output.push(text),
        say: (text) => terminal.say(text),
      });
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

/** Says what happened. Returns the exit code. */
function reportFailure(error: unknown, terminal: Terminal, debug: boolean): number {
  // commander has reported it already. Its own code for a wrong command line is 1, which means here that an image failed.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.couldNotRun;
  if (debug) terminal.trace(error);
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof MinigptError) terminal.say(message);
  else terminal.say(`internal error: ${message}${debug ? '' : ' (this is a bug in minigpt; --debug shows where)'}`);
  return EXIT.couldNotRun;
}
