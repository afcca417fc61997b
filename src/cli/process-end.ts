/**
 * The end of the process: with its exit code, and soon.
 *
 * `process.exit` waits for every thread that runs native code, however long that takes: for a decoder that computes on one picture for minutes, for
 * a model that is being loaded, for a file that never opens. So work that is not done shortly after the last line is left to the system:
 *
 * - Where Node can replace the process (22.15 and later, not on Windows), by one that does nothing but exit with the same code.
 * - Else by a signal. An interrupted process dies by the signal that interrupted it, which shells report as the same 130 or 143. One that has come to
 *   its end by itself dies by SIGPIPE where its exit code would have been 0, since only a reader that has gone away leaves work behind then, and
 *   else by SIGTERM. Windows knows no such signals: there it ends with 1, unless all is well.
 */
import { existsSync } from 'node:fs';
import { openNativeWork } from '../threads/native-work.ts';
import { EXIT } from './exit-codes.ts';

/** How long native work may take after the last line before it is left behind. */
const PATIENCE_MS = 750;

/** How long where that costs the exit code: a large photograph is decoded by then. */
const LONGER_PATIENCE_MS = 5000;

/** How often it is looked at. */
const LOOK_MS = 10;

/** Ends the process with `process.exitCode`, as soon as stderr has its text and native work is done or is left behind. */
export async function endProcess(): Promise<never> {
  // Without one all is well.
  const exitCode = Number(process.exitCode ?? EXIT.ok);
  const isInterrupted = exitCode === EXIT.interrupted || exitCode === EXIT.terminated;
  const told = new Promise<void>((resolve) => process.stderr.write('', () => resolve()));
  // Who interrupts does not wait for a reader that reads nothing.
  await (isInterrupted ? Promise.race([told, after(PATIENCE_MS)]) : told);
  const patience = isInterrupted || replaceProcess !== undefined ? PATIENCE_MS : LONGER_PATIENCE_MS;
  const deadline = performance.now() + patience;
  while (isBusy() && performance.now() < deadline) await after(LOOK_MS);
  if (isBusy()) leaveWorkBehind(exitCode);
  return process.exit(exitCode);
}

/** Whether native code runs that `process.exit` would wait for: ours, or what Node does with files and host names. */
function isBusy(): boolean {
  return openNativeWork() > 0 || process.getActiveResourcesInfo().some((kind) => kind.includes('Req'));
}

/** What Node has for replacing the process by another program, if it has it. */
const replaceProcess: ((file: string, args: readonly string[], env: NodeJS.ProcessEnv) => void) | undefined =
  'execve' in process && typeof process.execve === 'function' && process.platform !== 'win32'
    ? (process.execve.bind(process) as (file: string, args: readonly string[], env: NodeJS.ProcessEnv) => void)
    : undefined;

/** Ends the process where the system lets us; else returns. */
function leaveWorkBehind(exitCode: number): void {
  if (existsSync(process.execPath))
    replaceProcess?.(process.execPath, [process.execPath, '--eval', `process.exit(${exitCode})`], {});
  const isWindows = process.platform === 'win32';
  if (isWindows && exitCode === EXIT.ok) return;
  const signal = isWindows ? 'SIGTERM' : signalOf(exitCode);
  // Node listens to some signals and ignores others: a listener that is taken off again leaves the system's own action, which is to die.
  process.on(signal, () => undefined);
  process.removeAllListeners(signal);
  // The first process of a container cannot be killed so, and goes on from here.
  process.kill(process.pid, signal);
}

function signalOf(exitCode: number): NodeJS.Signals {
  if (exitCode === EXIT.interrupted) return 'SIGINT';
  return exitCode === EXIT.ok ? 'SIGPIPE' : 'SIGTERM';
}

async function after(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
}
