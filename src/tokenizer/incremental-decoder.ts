/**
 * Token ids one by one to text as it becomes certain, for an answer that is shown while it is written.
 *
 * A token may hold a part of a character, and what it reads like may depend on its neighbours. So text is handed out only when no later token
 * can change it, and all of it together is what decoding all ids at once yields.
 */
import { isByteToken } from './byte-tokens.ts';
import { StreamReplacement } from './stream-replacement.ts';

/** What decoding needs of a tokenizer. */
export type TokenReader = {
  /** How the vocabulary spells a token that can be seen in a text; undefined for special tokens and padding. */
  visibleToken: (id: number) => string | undefined;
  /** Text of ids, not cleaned up. */
  decode: (ids: readonly number[]) => string;
  /** What cleaning up replaces, in this order, and by what. */
  cleanUp: readonly (readonly [pattern: string, replacement: string])[];
};

/** Decodes one row; make a new one for the next. */
export class IncrementalDecoder {
  readonly #reader: TokenReader;
  readonly #cleanUp: readonly StreamReplacement[];
  /**
   * Ids whose text has been handed out: the last group of them, which tells the text behind it apart from the beginning of an answer, where
   * decoders drop a space.
   */
  #before: readonly number[] = [];
  #open: number[] = [];

  constructor(reader: TokenReader) {
    this.#reader = reader;
    this.#cleanUp = reader.cleanUp.map(([pattern, replacement]) => new StreamReplacement(pattern, replacement));
  }

  /** Takes the next id. Returns the text that is certain now and was not before, often none. */
  add(id: number): string {
    const token = this.#reader.visibleToken(id);
    if (token === undefined) return '';
    this.#open.push(id);
    // A run of byte tokens is read as a whole, and a character that lacks bytes looks like one that is damaged.
    if (isByteToken(token)) return '';
    const text = this.#openText();
    return text.endsWith('\uFFFD') ? '' : this.#handOut(text);
  }

  /** The rest of the text, when no id will follow. */
  end(): string {
    const ready = this.#handOut(this.#openText());
    // What a step still held passes the steps behind it.
    const rest = this.#cleanUp.reduce((text, step) => step.add(text) + step.end(), '');
    return ready + rest;
  }

  #openText(): string {
    const before = this.#reader.decode(this.#before);
    return this.#reader.decode([...this.#before, ...this.#open]).slice(before.length);
  }

  #handOut(text: string): string {
    if (this.#open.length > 0) this.#before = this.#open;
    this.#open = [];
    return this.#cleanUp.reduce((rest, step) => step.add(rest), text);
  }
}
