/**
 * The texts of a Q-Former that writes captions by itself (ITG): it begins with `[DEC]` and needs no prompt. The reference is
 * `generate` of LAVIS' first stage, which takes no text to continue.
 */
import { join } from 'node:path';
import { PackError, UsageError } from '../../errors.ts';
import type { ModelDeclaration, Pack } from '../../pack/model-declaration.ts';
import type { AnswerLength } from '../../prompt/prompt-family.ts';
import type { IncrementalDecoder } from '../../tokenizer/incremental-decoder.ts';
import { loadTokenizer, type Tokenizer } from '../../tokenizer/tokenizer.ts';
import type { TokenizedPrompt, WritingTexts } from '../model.ts';

/** What every text of it begins with. */
export const QFORMER_START = '[DEC]';

/** LAVIS' lengths, 30 and 10, count the start token. */
export const QFORMER_CAPTION_LENGTH: AnswerLength = { maxNewTokens: 29, minNewTokens: 9 };

/** Whether a pack has no language model beside its Q-Former, and captions all the same. */
export function writesByQFormer({ promptFamily, language, matching }: ModelDeclaration): boolean {
  return promptFamily === undefined && language !== undefined && matching.includes('itg');
}

export class QFormerTexts implements WritingTexts {
  readonly stopSequences = [];
  readonly #tokenizer: Tokenizer;
  readonly #start: number;

  private constructor(tokenizer: Tokenizer, start: number) {
    this.#tokenizer = tokenizer;
    this.#start = start;
  }

  /** @throws PackError when the tokenizer is missing or damaged, or has no start token. */
  static async load({ directory }: Pack): Promise<QFormerTexts> {
    const folder = join(directory, 'qformer_tokenizer');
    const tokenizer = await loadTokenizer(folder);
    const start = tokenizer.tokenId(QFORMER_START);
    if (start === undefined)
      throw new PackError(
        folder,
        `the tokenizer has no token ${QFORMER_START}. Each caption of the Q-Former begins with it.`,
      );
    return new QFormerTexts(tokenizer, start);
  }

  /** @throws UsageError when there is a text to continue. */
  captionPrompt(prompt?: string): TokenizedPrompt {
    if (prompt !== undefined)
      throw new UsageError(
        '--prompt: a Q-Former without a language model cannot continue a text. Leave the option out.',
      );
    return { text: `<image>${QFORMER_START}`, segments: [null, [this.#start]], instruction: undefined };
  }

  /** @throws UsageError always. */
  questionPrompt(): TokenizedPrompt {
    return refuseQuestion();
  }

  /** @throws UsageError always. */
  conversationPrompt(): TokenizedPrompt {
    return refuseQuestion();
  }

  get tokenCount(): number {
    return this.#tokenizer.tokenCount;
  }

  decode(tokenIds: readonly number[]): string {
    return this.#tokenizer.decode(tokenIds);
  }

  startDecoding(): IncrementalDecoder {
    return this.#tokenizer.startDecoding();
  }

  cleanUp(text: string): string {
    return text.trim();
  }
}

function refuseQuestion(): never {
  throw new UsageError(
    'a Q-Former without a language model cannot answer questions. Choose a model with a language model.',
  );
}
