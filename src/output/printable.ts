/**
 * Text of other people (file names, questions, what a model wrote) made safe to show on a terminal.
 *
 * A file name may hold any character. A control character could move the cursor or recolour the screen, a newline could forge a line of
 * output, and an override of the writing direction could make `gpj.exe` look like `exe.jpg`. Each is shown as an escape instead.
 */

/** Control characters (C0, DEL, C1), line and paragraph separators, marks that turn the writing direction, halves of surrogate pairs. */
const UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Cs}]/gu;

const SHORT_ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** `text` on one line, with every character that would not simply be shown written as `\n`, `\x1b` or `\u202e`. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (character) => SHORT_ESCAPES[character] ?? numericEscape(character.charCodeAt(0)));
}

function numericEscape(code: number): string {
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
}
