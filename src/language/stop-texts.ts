/**
 * Texts that end an answer, as a user names them. A text has no ids of its own: the model may write it in any split, as part of longer
 * tokens, or byte by byte. So it is looked for in what the row reads like after each token, and the answer is cut in front of it.
 */
import { UsageError } from '../errors.ts';
import type { StopCheck, StopRule } from './stop-rule.ts';

/** The text of a row whose ids come one by one, as `IncrementalDecoder` gives it. */
export interface RowDecoder {
  /** Takes the next id. Returns the text that no later id can change and that was not certain before. */
  add(tokenId: number): string;
  /** The rest of the text, if no id follows. */
  rest(): string;
  fork(): RowDecoder;
}

/**
 * A row ends when its text, decoded as if it ended there, holds one of `stopTexts`.
 *
 * @param startDecoding Its texts are those that `cutAtStopText` gets.
 * @throws UsageError when a stop text is empty.
 */
export function holdsStopText(stopTexts: readonly string[], startDecoding: () => RowDecoder): StopRule {
  if (stopTexts.includes('')) {
    throw new UsageError(
      'a stop text is empty, which would end every answer before it begins. Give at least one character.',
    );
  }
  return { start: () => new TextSearch(stopTexts, startDecoding()) };
}

/** Looks at the end of the text only: what lies before was looked at with the tokens before. */
class TextSearch implements StopCheck {
  readonly #stopTexts: readonly string[];
  readonly #decoder: RowDecoder;
  /** The end of the certain text: all that a stop text can begin with that is not complete there. */
  #end: string;

  constructor(stopTexts: readonly string[], decoder: RowDecoder, end = '') {
    this.#stopTexts = stopTexts;
    this.#decoder = decoder;
    this.#end = end;
  }

  add(tokenId: number): boolean {
    const certain = this.#end + this.#decoder.add(tokenId);
    const text = certain + this.#decoder.rest();
    const longest = Math.max(...this.#stopTexts.map(({ length }) => length));
    this.#end = certain.slice(Math.max(0, certain.length - longest + 1));
    return this.#stopTexts.some((stopText) => text.includes(stopText));
  }

  fork(): TextSearch {
    return new TextSearch(this.#stopTexts, this.#decoder.fork(), this.#end);
  }
}

/** The text up to the first place where any of `stopTexts` begins; all of it where none does. */
export function cutAtStopText(text: string, stopTexts: readonly string[]): string {
  const starts = stopTexts.map((stopText) => text.indexOf(stopText)).filter((start) => start >= 0);
  return text.slice(0, Math.min(text.length, ...starts));
}
