/**
 * Token ids one by one to text as it becomes certain: for an answer that is shown while it is written, and for texts that end one.
 *
 * A token may hold a part of a character, and what it reads like may depend on its neighbours. So text is handed out only when no later token
 * can change it, and all of it together is what decoding all ids at once yields. An id costs as much after a long text as after a short one; only
 * of a run of byte tokens, and of damaged characters, all ids are looked at again with each.
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
   * decoders drop a space. And how long their text is.
   */
  #before: readonly number[] = [];
  #lengthBefore = 0;
  /** Ids whose text has not been handed out. */
  #open: readonly number[] = [];
  /** Their text, as it reads if no other follow; undefined where that has not been asked. */
  #openText: string | undefined = '';

  constructor(
    reader: TokenReader,
    cleanUp = reader.cleanUp.map(([pattern, replacement]) => new StreamReplacement(pattern, replacement)),
  ) {
    this.#reader = reader;
    this.#cleanUp = cleanUp;
  }

  /** Takes the next id. Returns the text that is certain now and was not before, often none. */
  add(id: number): string {
    const token = this.#reader.visibleToken(id);
    if (token === undefined) return '';
    this.#open = [...this.#open, id];
    this.#openText = undefined;
    // A run of byte tokens is read as a whole, and a character that lacks bytes looks like one that is damaged.
    if (isByteToken(token)) return '';
    const text = this.#readOpen();
    return text.endsWith('\uFFFD') ? '' : this.#handOut(text);
  }

  /** The rest of the text, if no id follows. One may follow all the same: nothing is changed. */
  rest(): string {
    return this.#cleanUp.reduce((text, step) => step.rest(text), this.#readOpen());
  }

  /** A copy that goes its own way from here. */
  fork(): IncrementalDecoder {
    const copy = new IncrementalDecoder(
      this.#reader,
      this.#cleanUp.map((step) => step.fork()),
    );
    copy.#before = this.#before;
    copy.#lengthBefore = this.#lengthBefore;
    copy.#open = this.#open;
    copy.#openText = this.#openText;
    return copy;
  }

  #readOpen(): string {
    this.#openText ??= this.#reader.decode([...this.#before, ...this.#open]).slice(this.#lengthBefore);
    return this.#openText;
  }

  #handOut(text: string): string {
    this.#before = this.#open;
    this.#lengthBefore = this.#reader.decode(this.#open).length;
    this.#open = [];
    this.#openText = '';
    return this.#cleanUp.reduce((rest, step) => step.add(rest), text);
  }
}
