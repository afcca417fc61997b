/** Texts that are matched with images, as the Q-Former reads them. */
import { join } from 'node:path';
import { PackError } from '../../errors.ts';
import type { MatchingText, Pack } from '../../pack/model-declaration.ts';
import { processCaption } from '../../prompt/blip-caption.ts';
import { loadTokenizer, type Tokenizer } from '../../tokenizer/tokenizer.ts';

/** Token ids of a text, `[CLS]` and `[SEP]` included; `isCut` where the model reads only its beginning. */
export type TokenizedText = { ids: readonly number[]; isCut: boolean };

export class MatchingTexts {
  readonly #tokenizer: Tokenizer;
  readonly #declaration: MatchingText;

  private constructor(tokenizer: Tokenizer, declaration: MatchingText) {
    this.#tokenizer = tokenizer;
    this.#declaration = declaration;
  }

  /** @throws PackError when the pack does not say how it reads texts, or its tokenizer is missing or damaged. */
  static async load({ directory, declaration }: Pack): Promise<MatchingTexts> {
    const { matchingText } = declaration;
    if (matchingText === undefined) {
      throw new PackError(
        directory,
        'model.json has no matching_text, which says how a text is prepared. Import the model again.',
      );
    }
    return new MatchingTexts(await loadTokenizer(join(directory, 'qformer_tokenizer')), matchingText);
  }

  /** The most tokens of a text that are read. */
  get maxTxtLen(): number {
    return this.#declaration.maxTxtLen;
  }

  tokenize(text: string): TokenizedText {
    const { textProcessor, maxTxtLen } = this.#declaration;
    const processed = textProcessor === 'blip_caption' ? processCaption(text) : text;
    const ids = this.#tokenizer.encode(processed, { addSpecialTokens: true });
    if (ids.length <= maxTxtLen) return { ids, isCut: false };
    return { ids: [...ids.slice(0, maxTxtLen - 1), ...ids.slice(-1)], isCut: true };
  }
}
