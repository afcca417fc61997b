/** Takes the outcomes of a run one by one: passes the records to the writers, reports failures, counts. */
import type { LaterOutcome } from '../../pipeline/rank.ts';
import type { ImageOutcome } from '../../pipeline/run.ts';
import type { Writer } from '../../output/writer.ts';
import type { Tally } from './tally.ts';
import type { Terminal } from '../terminal/terminal.ts';

export type Outcome = ImageOutcome | LaterOutcome;

export type DeliveryOptions = {
  /** Whether the results appear on the terminal that a progress bar would be on. */
  resultsOnTerminal: boolean;
  /** Whether the person who reads stderr sees each failure in the results. */
  failuresInResults: boolean;
  /** Whether a failure is followed by its stack trace. */
  debug: boolean;
};

/**
 * Delivers every outcome to every writer, and closes the writers. An image counts when all writers have all of its records.
 *
 * @throws what `outcomes` or a writer throws. Everything that was counted before is written.
 */
export async function deliver(
  outcomes: AsyncIterable<Outcome>,
  writers: readonly Writer[],
  tally: Tally,
  terminal: Terminal,
  options: DeliveryOptions,
): Promise<void> {
  try {
    for await (const outcome of outcomes) {
      if (outcome.records.length > 0) {
        if (options.resultsOnTerminal) terminal.makeRoom();
        for (const writer of writers) await writer.write(outcome.records);
      }
      tally.count(outcome);
      for (const error of outcome.errors) tellOf(error, outcome, terminal, options);
    }
    for (const writer of writers) await writer.end();
  } finally {
    await closeAll(writers);
  }
}

function tellOf(error: Error, { file }: Outcome, terminal: Terminal, options: DeliveryOptions): void {
  if (!options.failuresInResults) terminal.say(file === undefined ? error.message : `${file.path}: ${error.message}`);
  if (options.debug) terminal.trace(error);
}

/** Closes all, also where one of them cannot be closed. @throws what the first of these threw. */
async function closeAll(writers: readonly Writer[]): Promise<void> {
  const closed = await Promise.allSettled(writers.map(async (writer) => writer.close()));
  const failed = closed.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
