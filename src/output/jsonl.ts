/** JSON Lines (https://jsonlines.org): one JSON object per line, the form other programs read. */
import type { RecordFormat } from './record-format.ts';

/**
 * JSON allows these raw. But several line readers (Node's readline, Python's `splitlines`) end a line at some of them, and others control
 * the terminal of somebody who looks into the file.
 */
const UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

export const jsonl: RecordFormat = {
  header: '',
  encode: (record) => `${JSON.stringify(record).replace(UNSAFE, unicodeEscape)}\n`,
  footer: '',
};

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
