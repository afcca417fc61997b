/**
 * One run, from the command line to the exit code: what `caption` and `ask` have in common.
 *
 * What can be refused is refused first and in the order of its cost: options, output, images, model. The model loads while the first images
 * are decoded.
 */
import { performance } from 'node:perf_hooks';
import type { Model } from '../engine/model.ts';
import { ClosedPipe, FileDestination, refuseUnusableTarget, StreamDestination } from '../output/destination.ts';
import { RecordWriter } from '../output/record-writer.ts';
import { abortable } from '../pipeline/abortable.ts';
import { requestsOf } from '../pipeline/records.ts';
import { answerImages, decodeFile } from '../pipeline/run.ts';
import type { Task } from '../pipeline/settings.ts';
import { deliver } from './delivery.ts';
import { formatDuration } from './duration.ts';
import { EXIT } from './exit-codes.ts';
import { Interruption } from './interruption.ts';
import { prepare } from './preparation.ts';
import { noProgress, PlainProgress, type Progress } from './progress.ts';
import { chooseFormat, chooseOutput, chooseProgress, type RunOptions } from './settings.ts';
import { Tally } from './tally.ts';
import { Terminal } from './terminal.ts';

/**
 * Does `task` for the images of `paths`.
 *
 * @returns the exit code of a run that ended by itself, was interrupted, or lost its reader.
 * @throws what kept it from starting or going on.
 */
export async function runCommand(task: Task, paths: readonly string[], options: RunOptions): Promise<number> {
  const began = performance.now();
  const terminal = new Terminal(process.stderr);
  const output = chooseOutput(options);
  const { debug = false, quiet = false, verbose = false } = options;
  const toTerminal = output === undefined && process.stdout.isTTY;
  const format = chooseFormat(options, toTerminal);
  const progress = await makeProgress(options, terminal);
  if (output !== undefined) await refuseUnusableTarget(output);

  const interruption = new Interruption();
  const { signal } = interruption;
  let tally = new Tally([], task.kind);
  let loading: Promise<Model> | undefined;
  try {
    const { files, pack, settings, loadOptions } = await abortable(prepare(task, paths, options, terminal), signal);
    tally = new Tally(files, task.kind);
    progress.start(tally);

    const { loadModel } = await import('../engine/load-model.ts');
    loading = loadModel(pack, loadOptions);
    const model = loading.then((loaded) => {
      // An interrupted run has said its last line already.
      if (signal.aborted) return loaded;
      progress.ready();
      if (verbose) terminal.say(`model ready after ${formatDuration(secondsSince(began))}`);
      if (options.showPrompt === true) showPrompts(task, loaded, terminal);
      return loaded;
    });
    const { image } = pack.declaration;
    const outcomes = answerImages({ files, image, model, settings, pixels: decodeFile, signal });

    const destination =
      output === undefined ? new StreamDestination(process.stdout, 'standard output') : new FileDestination(output);
    const columns = { kind: task.kind, details: settings.details };
    const writer = new RecordWriter(format, columns, destination);
    const failuresInResults = toTerminal && process.stderr.isTTY && format === 'text';
    try {
      await deliver(outcomes, writer, tally, terminal, { resultsOnTerminal: toTerminal, failuresInResults, debug });
    } finally {
      await writer.close();
    }
    progress.stop();
    if (!quiet) terminal.say(tally.summary(secondsSince(began)));
    return tally.exitCode;
  } catch (error) {
    progress.stop();
    // Ctrl-C reaches a whole pipeline: our reader may be gone because of it, and that is still an interruption.
    const { interrupted } = interruption;
    if (interrupted !== undefined) {
      terminal.say(tally.interruptedSummary(interrupted, output));
      return interrupted.exitCode;
    }
    if (error instanceof ClosedPipe) return EXIT.ok;
    throw error;
  } finally {
    await close(loading);
    interruption.release();
  }
}

async function makeProgress(options: RunOptions, terminal: Terminal): Promise<Progress> {
  const shown = chooseProgress(options, process.stderr.isTTY, process.env);
  if (shown === 'none') return noProgress;
  if (shown === 'plain') return new PlainProgress(terminal);
  const { ProgressBar } = await import('./progress-bar.ts');
  return new ProgressBar(terminal, process.stderr);
}

/** Each distinct prompt, quoted, because a space at its end matters and could not be seen. */
function showPrompts(task: Task, model: Model, terminal: Terminal): void {
  const texts = new Set(requestsOf(task, model).map(({ prompt }) => prompt.text));
  for (const text of texts) terminal.say(`prompt ${JSON.stringify(text)}`);
}

/** Ends the inference threads, also one that is still loading. A model that failed to load has none. */
async function close(loading: Promise<Model> | undefined): Promise<void> {
  const model = await loading?.catch(() => undefined);
  await model?.close();
}

function secondsSince(began: number): number {
  return (performance.now() - began) / 1000;
}
