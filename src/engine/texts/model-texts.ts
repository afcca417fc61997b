/** Everything of a model that has to do with text: its prompt family and its tokenizers, in both directions. */
import { join } from 'node:path';
import { PackError } from '../../errors.ts';
import { stopSequences } from '../../language/stop-sequences.ts';
import type { Pack } from '../../pack/model-declaration.ts';
import { loadPromptFamily, type Prompt, type PromptFamily, type Turn } from '../../prompt/prompt-family.ts';
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
    { directory, declaration }: Pack,
  ) {
    this.prompts = prompts;
    this.#tokenizer = tokenizer;
    this.#qformerTokenizer = qformerTokenizer;
    this.stopSequences = stopSequences(
      prompts.stopTokens,
      (token) => tokenizer.tokenId(token),
      join(directory, 'tokenizer.json'),
    );
    this.#choices = new ChoiceTokens(tokenizer, declaration, this.stopSequences);
  }

  /** @throws PackError when a file is missing or damaged, or the pack has no language model. */
  static async load(pack: Pack): Promise<ModelTexts> {
    const { directory, declaration } = pack;
    const { promptFamily, bridge } = declaration;
    if (promptFamily === undefined) throw new PackError(directory, 'this pack has no language model.');
    const [prompts, tokenizer, qformerTokenizer] = await Promise.all([
      loadPromptFamily(promptFamily),
      loadTokenizer(directory),
      bridge === 'instruction' ? loadTokenizer(join(directory, 'qformer_tokenizer')) : undefined,
    ]);
    return new ModelTexts(prompts, tokenizer, qformerTokenizer, pack);
  }

  /** Token ids of each text segment of a prompt, null for the image; and of the instruction where the Q-Former reads one. */
  tokenize(prompt: Prompt): TokenizedPrompt {
    const segments = prompt.segments.map((segment) =>
      segment.type === 'image'
        ? null
        : this.#tokenizer.encode(segment.text, { addSpecialTokens: segment.addSpecialTokens }),
    );
    const instruction = this.#qformerTokenizer?.encode(prompt.instruction ?? '', { addSpecialTokens: true });
    return { text: prompt.text, segments, instruction: instruction && keepEnd(instruction) };
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
