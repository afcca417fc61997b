/** Everything of a model that has to do with text: its prompt family and its tokenizers, in both directions. */
import { join } from 'node:path';
import { PackError } from '../../errors.ts';
import { stopSequences } from '../../language/stop-sequences.ts';
import type { LanguageDeclaration, Pack } from '../../pack/model-declaration.ts';
import { loadPromptFamily, type Prompt, type PromptFamily, type Turn } from '../../prompt/prompt-family.ts';
import { required } from '../../required.ts';
import type { IncrementalDecoder } from '../../tokenizer/incremental-decoder.ts';
import { loadTokenizer, type Tokenizer } from '../../tokenizer/tokenizer.ts';
import { ChoiceTokens } from './choice-tokens.ts';
import type { QuestionForm, TokenizedPrompt, WritingTexts } from '../model.ts';

/** Longest instruction that the Q-Former was trained with; of a longer one the end is kept (LAVIS `max_txt_len`, truncation side left). */
const MAX_INSTRUCTION_TOKENS = 128;

export class ModelTexts implements WritingTexts {
  readonly prompts: PromptFamily;
  /** Ids that end an answer beside the pack's end ids. */
  readonly stopSequences: readonly (readonly number[])[];
  readonly #tokenizer: Tokenizer;
  readonly #qformerTokenizer: Tokenizer | undefined;
  readonly #choices: ChoiceTokens;

  private constructor(
    prompts: PromptFamily,
    tokenizer: Tokenizer,
    qformerTokenizer: Tokenizer | undefined,
    directory: string,
    language: LanguageDeclaration,
  ) {
    this.prompts = prompts;
    this.#tokenizer = tokenizer;
    this.#qformerTokenizer = qformerTokenizer;
    this.stopSequences = stopSequences(
      prompts.stopTokens,
      (token) => tokenizer.tokenId(token),
      join(directory, 'tokenizer.json'),
    );
    this.#choices = new ChoiceTokens(tokenizer, language, this.stopSequences);
  }

  /** @throws PackError when a file is missing or damaged, the pack has no language model, or it and its prompts do not belong together. */
  static async load({ directory, declaration }: Pack): Promise<ModelTexts> {
    const { promptFamily, bridge, language } = declaration;
    if (promptFamily === undefined || language === undefined)
      throw new PackError(directory, 'this pack has no language model.');
    const readsInstruction = bridge === 'instruction';
    const [prompts, tokenizer, qformerTokenizer] = await Promise.all([
      loadPromptFamily(promptFamily),
      loadTokenizer(directory),
      readsInstruction ? loadTokenizer(join(directory, 'qformer_tokenizer')) : undefined,
    ]);
    if (prompts.readsInstruction !== readsInstruction) {
      throw new PackError(
        directory,
        `reads_instruction is ${readsInstruction} in model.json and ${prompts.readsInstruction} in the prompts of ${promptFamily}. Import the model again.`,
      );
    }
    return new ModelTexts(prompts, tokenizer, qformerTokenizer, directory, language);
  }

  /** Token ids of each text segment of a prompt, null for the image; and of the instruction where the Q-Former reads one. */
  tokenize(prompt: Prompt): TokenizedPrompt {
    const segments = prompt.segments.map((segment) =>
      segment.type === 'image'
        ? null
        : this.#tokenizer.encode(segment.text, { addSpecialTokens: segment.addSpecialTokens }),
    );
    return { text: prompt.text, segments, instruction: this.#instructionOf(prompt) };
  }

  #instructionOf({ instruction }: Prompt): number[] | undefined {
    if (this.#qformerTokenizer === undefined) return undefined;
    const text = required(instruction, 'the instruction for the Q-Former');
    return keepEnd(this.#qformerTokenizer.encode(text, { addSpecialTokens: true }));
  }

  captionPrompt(prompt?: string): TokenizedPrompt {
    return this.tokenize(this.prompts.caption(prompt));
  }

  questionPrompt(question: string, { template, choices }: QuestionForm = {}): TokenizedPrompt {
    const prompt = this.tokenize(this.prompts.question(question, template));
    return choices === undefined
      ? prompt
      : { ...prompt, choices, continuations: this.#choices.continue(prompt, choices) };
  }

  conversationPrompt(turns: readonly Turn[], question: string): TokenizedPrompt {
    return this.tokenize(this.prompts.conversation(turns, question));
  }

  get tokenCount(): number {
    return this.#tokenizer.tokenCount;
  }

  cleanUp(text: string): string {
    return this.prompts.cleanUp(text);
  }

  /** The text of generated ids, special tokens left out; not yet cleaned up. */
  decode(tokenIds: readonly number[]): string {
    return this.#tokenizer.decode(tokenIds);
  }

  /** Begins a text whose ids come one by one; its pieces together are what `decode` makes of all of them. */
  startDecoding(): IncrementalDecoder {
    return this.#tokenizer.startDecoding();
  }
}

/** Of a long instruction its last tokens, behind its start token. */
function keepEnd(ids: number[]): number[] {
  return ids.length <= MAX_INSTRUCTION_TOKENS
    ? ids
    : [...ids.slice(0, 1), ...ids.slice(ids.length - MAX_INSTRUCTION_TOKENS + 1)];
}
