/** JSON Lines (https://jsonlines.org): one JSON object per line, the form other programs read. */
import type { RecordFormat } from './record-format.ts';

/** JSON allows these raw, but several line readers (Node's readline, Python's `splitlines`) end a line at them. */
const OTHER_LINE_ENDS = /[\u0085\u2028\u2029]/g;

export const jsonl: RecordFormat = {
  header: '',
  encode: (record) => `${JSON.stringify(record).replace(OTHER_LINE_ENDS, unicodeEscape)}\n`,
  footer: '',
};

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
