/** Replacement in a text that arrives in pieces. */
import { required } from '../required.ts';

/** `text.replaceAll(pattern, replacement)` for a text that arrives in pieces. */
export class StreamReplacement {
  readonly #pattern: string;
  readonly #replacement: string;
  /** The end of the text so far, where it may be the beginning of the pattern. */
  #held = '';

  /** @param pattern not empty */
  constructor(pattern: string, replacement: string) {
    this.#pattern = pattern;
    this.#replacement = replacement;
  }

  /** Takes the next piece. Returns what can be said of the result now and could not before. */
  add(piece: string): string {
    const parts = (this.#held + piece).split(this.#pattern);
    const rest = required(parts.pop(), 'the last part of a split');
    const heldLength = lengthOfBegunPattern(rest, this.#pattern);
    this.#held = rest.slice(rest.length - heldLength);
    return [...parts, rest.slice(0, rest.length - heldLength)].join(this.#replacement);
  }

  /** What is left if the text ends with `piece`. It may go on all the same: nothing is changed. */
  rest(piece: string): string {
    return (this.#held + piece).replaceAll(this.#pattern, () => this.#replacement);
  }

  fork(): StreamReplacement {
    const copy = new StreamReplacement(this.#pattern, this.#replacement);
    copy.#held = this.#held;
    return copy;
  }
}

/** How many characters at the end of `text` are the beginning of `pattern`, which is not complete there. */
function lengthOfBegunPattern(text: string, pattern: string): number {
  let length = Math.min(text.length, pattern.length - 1);
  while (length > 0 && !text.endsWith(pattern.slice(0, length))) length--;
  return length;
}
