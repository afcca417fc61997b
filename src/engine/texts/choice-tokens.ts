/**
 * Given answers as the tokens that a model would write them with, behind its prompt and up to the end of the answer (docs/choices.md).
 *
 * An answer is tokenized by itself. That is how the models of LAVIS and MiniGPT-4 were trained, whose tokenizers begin every text with a word; and
 * behind an encoder nothing comes before it. A byte-level vocabulary gets the space that divides the answer from the prompt, unless the prompt ends
 * with one.
 */
import { UsageError } from '../../errors.ts';
import { endsWith } from '../../language/stop-sequences.ts';
import type { LanguageDeclaration, ModelDeclaration } from '../../pack/model-declaration.ts';
import { required } from '../../required.ts';
import type { Tokenizer } from '../../tokenizer/tokenizer.ts';
import { roomForText } from '../answer-room.ts';
import type { TokenizedPrompt } from '../model.ts';

/** Any word: what is looked at is how the end of an answer is spelled behind it. */
const WORD = 'a';

export class ChoiceTokens {
  readonly #tokenizer: Pick<Tokenizer, 'encode' | 'decode' | 'prependsSpace'>;
  readonly #readsPromptByItself: boolean;
  readonly #ends: readonly (readonly number[])[];
  /** What every choice ends with. */
  readonly #end: readonly number[];

  /** @param stopSequences ids that end an answer beside the model's end tokens */
  constructor(
    tokenizer: Pick<Tokenizer, 'encode' | 'decode' | 'prependsSpace'>,
    { kind, eosTokenIds }: Pick<LanguageDeclaration, 'kind' | 'eosTokenIds'>,
    stopSequences: readonly (readonly number[])[],
  ) {
    const eos = eosTokenIds.map((tokenId) => [tokenId]);
    this.#tokenizer = tokenizer;
    this.#readsPromptByItself = kind === 'encoder-decoder';
    this.#ends = [...stopSequences, ...eos];
    // A separator can be spelled in several ways. Behind a word only one is natural, and that is what the model was trained to write.
    const spelled = stopSequences.find((ids) => endsWith(this.#encode(`${WORD}${tokenizer.decode(ids)}`), ids));
    // A model without any end writes until there is no room: its choices end with their last token.
    this.#end = spelled ?? this.#ends[0] ?? [];
  }

  /**
   * Token ids of each choice behind a prompt, with the end of the answer.
   *
   * @throws UsageError when a choice has no tokens or would end before its end, or two choices are the same tokens.
   */
  continue({ text }: Pick<TokenizedPrompt, 'text'>, choices: readonly string[]): number[][] {
    const isDivided = this.#readsPromptByItself || this.#tokenizer.prependsSpace || /\s$/u.test(text);
    const known = new Map<string, string>();
    return choices.map((choice) => {
      const ids = this.#encode(isDivided ? choice : ` ${choice}`);
      if (ids.length === 0)
        throw new UsageError(`the choice "${choice}" has no tokens in the vocabulary of this model.`);
      if (this.#endsWithin(ids)) {
        throw new UsageError(
          `the choice "${choice}" contains the text that ends an answer, so this model cannot write it. Change the choice.`,
        );
      }
      const twin = known.get(ids.join());
      if (twin !== undefined) {
        throw new UsageError(
          `this model cannot tell the choices "${twin}" and "${choice}" apart: its vocabulary writes both with the same tokens. Leave one out.`,
        );
      }
      known.set(ids.join(), choice);
      return [...ids, ...this.#end];
    });
  }

  #encode(text: string): number[] {
    return this.#tokenizer.encode(text, { addSpecialTokens: false });
  }

  #endsWithin(ids: readonly number[]): boolean {
    return ids.some((_, index) => this.#ends.some((end) => endsWith(ids.slice(0, index + 1), end)));
  }
}

/**
 * Refuses what has no room behind an image, whatever is asked.
 *
 * @throws UsageError when one of the prompt's choices is longer than the model can write.
 */
export function refuseLongChoices(
  { choices = [], continuations = [] }: TokenizedPrompt,
  language: LanguageDeclaration,
  { id, numImageTokens }: Pick<ModelDeclaration, 'id' | 'numImageTokens'>,
): void {
  const room = roomForText(language, { numImageTokens });
  for (const [index, choice] of choices.entries()) {
    const tokens = required(continuations[index], 'the tokens of a choice').length;
    if (tokens > room) {
      throw new UsageError(
        `the choice that begins "${choice.slice(0, 40)}" is too long: it has ${tokens} tokens, and the model ${id} has room for ${room} after the image, including the prompt.`,
      );
    }
  }
}
