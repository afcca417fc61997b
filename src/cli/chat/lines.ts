/** A conversation through a pipe: every line is a question, every answer a record, written as soon as it is complete. */
import { ImageError } from '../../errors.ts';
import type { Destination } from '../../output/destination.ts';
import type { RecordFormat } from '../../output/record-format.ts';
import type { ChatTalk } from './talk.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** How many questions were answered and how many failed. */
export type LineTally = { answered: number; failed: number };

export type LineOutput = {
  format: RecordFormat;
  destination: Pick<Destination, 'write'>;
  messages: Pick<Terminal, 'say' | 'trace'>;
  /** Whether an error is followed by its stack trace. */
  debug: boolean;
};

/**
 * Answers line by line; empty lines are skipped. A question that fails becomes a record too, and the next one is asked.
 *
 * @param tally is updated, and always agrees with what is written
 * @throws the error that keeps the model or the output from continuing; the signal's reason when aborted.
 */
export async function answerLines(
  talk: Pick<ChatTalk, 'ask' | 'image'>,
  lines: AsyncIterable<string>,
  { format, destination, messages, debug }: LineOutput,
  tally: LineTally,
  signal: AbortSignal,
): Promise<void> {
  for await (const line of lines) {
    const question = line.trim();
    if (question === '') continue;
    try {
      const record = await talk.ask(question, () => undefined, signal);
      signal.throwIfAborted();
      await destination.write(format.encode(record));
      tally.answered++;
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      const { code, message } = error;
      messages.say(`${question}: ${message}`);
      if (debug) messages.trace(error);
      await destination.write(format.encode({ schema: 1, image: talk.image, question, error: { code, message } }));
      tally.failed++;
    }
  }
  signal.throwIfAborted();
}
