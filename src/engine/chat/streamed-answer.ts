/** An answer that is shown while it is written: cleaned up as far as it is certain. */
import type { PromptFamily } from '../../prompt/prompt-family.ts';
import type { IncrementalDecoder } from '../../tokenizer/incremental-decoder.ts';

/** What is new of an answer. */
export type AnswerPiece = {
  text: string;
  /** The model took back what it had said, and `text` is all that holds. Only a prompt family with an `after_last` mark knows this. */
  replaces: boolean;
};

export class StreamedAnswer {
  readonly #decoder: IncrementalDecoder;
  readonly #prompts: Pick<PromptFamily, 'cleanUpBeginning'>;
  #decoded = '';
  #shown = '';

  constructor(decoder: IncrementalDecoder, prompts: Pick<PromptFamily, 'cleanUpBeginning'>) {
    this.#decoder = decoder;
    this.#prompts = prompts;
  }

  /** All that has been shown. */
  get text(): string {
    return this.#shown;
  }

  /** Takes the next token. Returns what can be shown now and could not before; undefined where that is nothing. */
  add(tokenId: number): AnswerPiece | undefined {
    const decoded = this.#decoder.add(tokenId);
    if (decoded === '') return undefined;
    this.#decoded += decoded;
    return this.show(this.#prompts.cleanUpBeginning(this.#decoded));
  }

  /** Shows what `text` has more than is shown already. */
  show(text: string): AnswerPiece | undefined {
    if (text === this.#shown) return undefined;
    const replaces = !text.startsWith(this.#shown);
    const piece = { text: replaces ? text : text.slice(this.#shown.length), replaces };
    this.#shown = text;
    return piece;
  }
}
