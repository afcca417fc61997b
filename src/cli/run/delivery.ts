/** Takes the outcomes of a run one by one: writes the records, reports failures, counts. */
import type { LaterOutcome } from '../../pipeline/rank.ts';
import type { ImageOutcome } from '../../pipeline/run.ts';
import type { OutputRecord } from '../../output/record.ts';
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
 * Delivers every outcome. An image counts when all of its records are written.
 *
 * @throws what `outcomes` or the writer throws. Everything that was counted before is written.
 */
export async function deliver(
  outcomes: AsyncIterable<Outcome>,
  writer: { write(record: OutputRecord): Promise<void> },
  tally: Tally,
  terminal: Terminal,
  options: DeliveryOptions,
): Promise<void> {
  for await (const outcome of outcomes) {
    for (const record of outcome.records) {
      if (options.resultsOnTerminal) terminal.makeRoom();
      await writer.write(record);
    }
    tally.count(outcome);
    for (const error of outcome.errors) {
      if (!options.failuresInResults) terminal.say(`${outcome.file?.path ?? ''}: ${error.message}`);
      if (options.debug) terminal.trace(error);
    }
  }
}
