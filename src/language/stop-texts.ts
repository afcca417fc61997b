/**
 * Texts that end an answer, as a user names them. A text has no ids of its own: the model may write it in any split, as part of longer
 * tokens, or byte by byte. So it is looked for in what the row reads like after each token, and the answer is cut in front of it.
 */
import { UsageError } from '../errors.ts';
import type { StopRule } from './stop-sequences.ts';

/**
 * A row ends when its text holds one of `stopTexts`. All ids are decoded each time: what a token reads like depends on those before it.
 *
 * @param decode The text of a row's ids, the same that `cutAtStopText` gets.
 * @throws UsageError when a stop text is empty.
 */
export function holdsStopText(stopTexts: readonly string[], decode: (ids: readonly number[]) => string): StopRule {
  if (stopTexts.includes('')) {
    throw new UsageError(
      'a stop text is empty, which would end every answer before it begins. Give at least one character.',
    );
  }
  return (generatedIds) => {
    const text = decode(generatedIds);
    return stopTexts.some((stopText) => text.includes(stopText));
  };
}

/** The text up to the first place where any of `stopTexts` begins; all of it where none does. */
export function cutAtStopText(text: string, stopTexts: readonly string[]): string {
  const starts = stopTexts.map((stopText) => text.indexOf(stopText)).filter((start) => start >= 0);
  return text.slice(0, Math.min(text.length, ...starts));
}
