/**
 * Lines for people: `photos/a.jpg: a dog runs through the snow`, as grep names a file and then what it found.
 *
 * A failed image has its line too, so that nothing is missing from a list. Whoever wants to take lines apart again reads JSONL or CSV.
 */
import { printable } from './printable.ts';
import type { OutputRecord } from './record.ts';
import { isFailed } from './record.ts';
import type { RecordFormat } from './record-format.ts';

export const text: RecordFormat = {
  header: '',
  encode: (record) => `${printable(`${subject(record)}: ${result(record)}`)}\n`,
};

function subject(record: OutputRecord): string {
  return 'question' in record && isFailed(record) ? `${record.image}: ${record.question}` : record.image;
}

function result(record: OutputRecord): string {
  if (isFailed(record)) return `error: ${record.error.message}`;
  // A question mark divides the two better than any sign of ours would.
  return 'answer' in record ? `${record.question} ${record.answer}` : record.caption;
}
