/**
 * Lines for people: `photos/a.jpg: a dog runs through the snow`, as grep names a file and then what it found.
 *
 * A failed image has its line too, so that nothing is missing from a list. Whoever wants to take lines apart again reads JSONL or CSV.
 */
import { printable } from './printable.ts';
import type { MatchRecord, OutputRecord, RecordedChoice } from './record.ts';
import { isFailed } from './record.ts';
import type { RecordFormat } from './record-format.ts';

export const text: RecordFormat = {
  header: '',
  encode: (record) => `${printable(`${subject(record)}: ${result(record)}`)}\n`,
  footer: '',
};

function subject(record: OutputRecord): string {
  if ('rank' in record) return record.text;
  if (!isFailed(record)) return record.image;
  const asked = record.question ?? record.instruction ?? record.text;
  return asked === undefined ? record.image : `${record.image}: ${asked}`;
}

function result(record: OutputRecord): string {
  if (isFailed(record)) return `error: ${record.error.message}`;
  if ('itm' in record) return match(record);
  // A question mark divides the two better than any sign of ours would.
  if ('answer' in record) {
    const answered = `${record.question} ${record.answer}`;
    return record.scores === undefined ? answered : `${answered}  (${comparison(record.scores)})`;
  }
  return record.instruction === undefined ? record.caption : `${record.instruction} ${record.caption}`;
}

/** `yes 73 %, no 27 %`: the likeliest first. */
function comparison(scores: readonly RecordedChoice[]): string {
  return scores
    .toSorted((a, b) => b.score - a.score)
    .map(({ choice, probability }) => {
      const shown = choice.includes(',') ? `"${choice}"` : choice;
      return `${shown} ${Math.round(100 * probability)} %`;
    })
    .join(', ');
}

/** `a dog  itm 97 %  itc 0.41`, or the image in place of the text where images are ranked for a text. */
function match({ image, text: matched, rank, itm, itc }: MatchRecord): string {
  const what = rank === undefined ? matched : `${rank}. ${image}`;
  return `${what}  itm ${Math.round(100 * itm)} %  itc ${itc.toFixed(2)}`;
}
