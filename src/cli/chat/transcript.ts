/** Saves the conversation so far, as JSON Lines or as text for people. */
import { extname } from 'node:path';
import { UsageError } from '../../errors.ts';
import { FileDestination } from '../../output/destination.ts';
import { jsonl } from '../../output/jsonl.ts';
import { printable } from '../../output/printable.ts';
import type { ChatRecord } from './talk.ts';

const FORMATS: Readonly<Record<string, (records: readonly ChatRecord[]) => string>> = {
  '.jsonl': (records) => records.map((record) => jsonl.encode(record)).join(''),
  '.txt': asText,
};

/**
 * Writes a new file.
 *
 * @throws UsageError when the ending names neither format, or there is nothing to save.
 * @throws OutputError when the file exists or cannot be written.
 */
export async function saveTranscript(path: string, records: readonly ChatRecord[]): Promise<void> {
  const format = FORMATS[extname(path).toLowerCase()];
  if (format === undefined) {
    throw new UsageError(`${path}: the ending does not say how to save the conversation. Use .txt or .jsonl.`);
  }
  if (records.length === 0) throw new UsageError('there is nothing to save yet. Ask a question first.');
  const destination = new FileDestination(path);
  await destination.open();
  try {
    await destination.write(format(records));
  } finally {
    await destination.close();
  }
}

/** A heading for each image, then questions and answers, as on the screen. */
function asText(records: readonly ChatRecord[]): string {
  let image: string | undefined;
  const blocks: string[] = [];
  for (const record of records) {
    if (record.image !== image) blocks.push(`${printable(record.image)}\n`);
    image = record.image;
    const answer = record.stopped === true ? `${record.answer} (stopped)` : record.answer;
    blocks.push(`> ${printable(record.question)}\n${printableLines(answer.trimStart())}\n`);
  }
  return blocks.join('\n');
}

/** Text of a model for a terminal. Of its control characters only line ends are kept. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}
