/**
 * One run over images, from the command line to the exit code. All commands that write records share it.
 *
 * Mistakes are found as early as possible, cheap checks first: options, output, images, model. The model loads while the first images are
 * decoded.
 */
import { performance } from 'node:perf_hooks';
import type { Discovery } from '../../images/discover.ts';
import { ClosedPipe, FileDestination, refuseUnusableTarget, StreamDestination } from '../../output/destination.ts';
import type { RecordKind } from '../../output/record.ts';
import { recordFormat, RecordWriter } from '../../output/record-writer.ts';
import { abortable } from '../../pipeline/abortable.ts';
import { deliver, type Outcome } from './delivery.ts';
import { formatDuration } from '../terminal/duration.ts';
import { EXIT } from '../exit-codes.ts';
import { Interruption } from '../terminal/interruption.ts';
import { noProgress, PlainProgress, type Progress } from '../terminal/progress.ts';
import type { OutputOptions } from '../options/output.ts';
import { chooseFormat, chooseOutput, chooseProgress } from '../options/settings.ts';
import { Tally } from './tally.ts';
import { Terminal } from '../terminal/terminal.ts';

/** A model that is loading, or loaded. */
export interface Closable {
  close(): Promise<void>;
}

/** A run whose images and settings are known, and whose model is not loaded yet. */
export type PreparedRun<Model extends Closable> = {
  discovery: Discovery;
  load: () => Promise<Model>;
  /** Called once the model is loaded. */
  onReady?: (model: Model) => void;
  outcomes: (model: Promise<Model>, signal: AbortSignal) => AsyncIterable<Outcome>;
  /** Called when all records are written. */
  onEnd?: (model: Model) => void;
};

/**
 * Does a run.
 *
 * @param prepare finds the images and the pack, and completes the settings
 * @returns the exit code of a run that ended by itself, was interrupted, or whose reader closed the pipe.
 * @throws the error that kept it from starting or continuing.
 */
export async function runStream<Model extends Closable>(
  kind: RecordKind,
  options: OutputOptions & { scores?: boolean },
  prepare: (terminal: Terminal, signal: AbortSignal) => Promise<PreparedRun<Model>>,
): Promise<number> {
  const began = performance.now();
  const terminal = new Terminal(process.stderr);
  const output = chooseOutput(options);
  const { debug = false, quiet = false, verbose = false, details = false, scores = false } = options;
  const toTerminal = output === undefined && process.stdout.isTTY;
  const format = chooseFormat(options, toTerminal);
  const progress = await makeProgress(options, terminal);
  if (output !== undefined) await refuseUnusableTarget(output);

  const interruption = new Interruption();
  const { signal } = interruption;
  let tally = new Tally([], kind);
  let loading: Promise<Model> | undefined;
  try {
    const run = await abortable(prepare(terminal, signal), signal);
    tally = new Tally(run.discovery.files, kind, run.discovery);
    progress.start(tally);

    loading = run.load();
    const model = loading.then((loaded) => {
      // An interrupted run has written its last message already.
      if (signal.aborted) return loaded;
      progress.ready();
      if (verbose) terminal.say(`model ready after ${formatDuration(secondsSince(began))}`);
      run.onReady?.(loaded);
      return loaded;
    });
    // Without a model the run ends at once, also while its first image is still being decoded.
    const unusable = new AbortController();
    model.catch((error: unknown) => unusable.abort(error));

    const destination =
      output === undefined ? new StreamDestination(process.stdout, 'standard output') : new FileDestination(output);
    const writers = [new RecordWriter(recordFormat(format, { kind, details, scores }), destination)];
    const failuresInResults = toTerminal && process.stderr.isTTY && format === 'text';
    const told = { resultsOnTerminal: toTerminal, failuresInResults, debug };
    const outcomes = run.outcomes(model, AbortSignal.any([signal, unusable.signal]));
    const delivered = deliver(outcomes, writers, tally, terminal, told);
    // A reader may take nothing for as long as it likes; a file takes what it is given.
    await (output === undefined ? abortable(delivered, signal) : delivered);
    progress.stop();
    run.onEnd?.(await model);
    if (!quiet) terminal.say(tally.summary(secondsSince(began)));
    return tally.exitCode;
  } catch (error) {
    progress.stop();
    // Ctrl-C reaches every program of a pipeline. The reader may be gone because of it, and that is still an interruption.
    const { interrupted } = interruption;
    if (interrupted !== undefined) {
      terminal.say(tally.interruptedSummary(interrupted, output));
      return interrupted.exitCode;
    }
    if (error instanceof ClosedPipe) return EXIT.ok;
    throw error;
  } finally {
    const closed = close(loading);
    // What the model is at cannot be stopped. Who has interrupted the run does not wait for it; who has not may still do so.
    if (interruption.interrupted === undefined) {
      interruption.release();
      await closed;
    }
  }
}

async function makeProgress(options: OutputOptions, terminal: Terminal): Promise<Progress> {
  const shown = chooseProgress(options, process.stderr.isTTY, process.env);
  if (shown === 'none') return noProgress;
  if (shown === 'plain') return new PlainProgress(terminal);
  const { ProgressBar } = await import('../terminal/progress-bar.ts');
  return new ProgressBar(terminal, process.stderr);
}

/** Ends the inference threads, even of a model that is still loading. A model that failed to load has none. */
async function close(loading: Promise<Closable> | undefined): Promise<void> {
  const model = await loading?.catch(() => undefined);
  await model?.close();
}

function secondsSince(began: number): number {
  return (performance.now() - began) / 1000;
}
