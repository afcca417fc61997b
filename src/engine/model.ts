/**
 * A loaded model as one object: what the pipeline asks, and all it knows of models.
 */
import type { ImageError } from '../errors.ts';
import type { BeamSearchOptions } from '../language/beam-search.ts';
import { rowsForChoices, type ChoicesOptions } from '../language/forced-choices.ts';
import type { SamplingOptions } from '../language/sampling.ts';
import type { RowDecoder } from '../language/stop-texts.ts';
import type { Pack } from '../pack/model-declaration.ts';
import type { Turn } from '../prompt/prompt-family.ts';
import type { Template } from '../prompt/template.ts';
import type { Compute } from '../runtime/compute.ts';

/** What is asked next where an answer is short; plain data, since it goes to the inference thread. */
export type FollowUp = {
  /** What the first prompt asked, as a turn of a conversation has it. */
  question: string;
  /** What is said next. */
  request: string;
  /** Answers of fewer tokens, the stop token counted, are short. */
  belowTokens: number;
};

/** A prompt as it is sent to the model. */
export type PromptIds = {
  /** Token ids of each text segment in the model's order; null stands for the image tokens. */
  segments: readonly (readonly number[] | null)[];
  /** Token ids of the instruction for the Q-Former; undefined where it reads none. */
  instruction: readonly number[] | undefined;
  /** Token ids of each answer that is to be judged, with its end; absent where the model writes the answer itself. */
  continuations?: readonly (readonly number[])[];
  followUp?: FollowUp;
};

/**
 * A prompt that is ready for the model, with what is shown to a user: the exact text, images as `<image>`, and the choices that `continuations`
 * stand for.
 */
export type TokenizedPrompt = PromptIds & { text: string; choices?: readonly string[] };

/** How a row is written; everything a loop over tokens must know. */
export type GenerationOptions = {
  maxNewTokens: number;
  minNewTokens: number;
  /** Divides the logits of tokens written before, or multiplies them where they are negative; 1 leaves them (https://arxiv.org/abs/1909.05858). */
  repetitionPenalty: number;
  /** No run of so many tokens is written twice; 0 allows all. */
  noRepeatNgram: number;
  /** Any of these ends the row. */
  eosTokenIds: readonly number[];
  /** The row ends when its last ids are one of these. */
  stopSequences: readonly (readonly number[])[];
  /** Whether `score` is wanted: it costs a pass over the vocabulary per token. */
  score: boolean;
  /** How tokens are chosen; greedily where it is absent. */
  search?: BeamSearchOptions | SamplingOptions | ChoicesOptions;
  /** The row ends when its text holds one of these. */
  stopTexts?: readonly string[];
  /** Ids from here on are padding of the vocabulary and are never chosen; absent where it has none. */
  bannedFrom?: number;
};

/** Rows of the cache that an answer takes. */
export function rowsPerAnswer({ search }: Pick<GenerationOptions, 'search'>): number {
  if (search?.kind === 'choices') return rowsForChoices(search.continuations.length);
  return search?.kind === 'beams' ? search.beams : 1;
}

/** Tokens that there must be room for: the first of a text, all of a given answer. */
export function leastRoom({ search }: Pick<GenerationOptions, 'search'>): number {
  return search?.kind === 'choices' ? Math.max(...search.continuations.map(({ length }) => length)) : 1;
}

/** What a caller decides of an answer; how it ends is the model's own, and given answers belong to a prompt. */
export type AnswerOptions = Omit<GenerationOptions, 'eosTokenIds' | 'stopSequences' | 'bannedFrom' | 'search'> & {
  search?: BeamSearchOptions | SamplingOptions;
};

/** What a model holds of one of the answers that it was to choose from. */
export type ChoiceScore = {
  /** As it was given. */
  choice: string;
  /** `logProbability` over `tokens`: the choice whose score is greatest is the answer, of equals the first. */
  score: number;
  /** Natural logarithm of the probability that the model answers just this: the sum over its tokens and the end. */
  logProbability: number;
  /** Tokens of the choice and of its end. */
  tokens: number;
  /** Softmax of the scores over the given choices. It compares them, and says nothing of answers that were not given. */
  probability: number;
};

/** What the model wrote for one image and one prompt; of one that it was asked to go on with, both parts. */
export type Answer = {
  /** Parts are joined by one space. */
  text: string;
  /** Generated ids, with the stop id of each part where one was generated. */
  tokenIds: number[];
  /** Of the last part. */
  finishReason: 'stop' | 'length';
  /** Sum of natural log-probabilities of `tokenIds`; absent unless asked for. */
  score?: number;
  /** What beams are ranked by: `score` over a power of the length, summed over parts; only where there are beams and scores are asked for. */
  beamScore?: number;
  /** What became of each choice, in the order they were given; only where there were any. Then `text` is one of them, as it was given. */
  scores?: ChoiceScore[];
};

export type LoadOptions = {
  /** What all copies of the model compute with together. */
  compute: Compute;
  /** How many images are to come: a model is copied for the cores only where that pays (see `load-plan.ts`). */
  images: number;
  /** Images encoded together, and answers decoded together. */
  batchSize: number;
};

/** How a question is put. */
export type QuestionForm = {
  /** Another way to put it than the family's own. */
  template?: Template | undefined;
  /** The answers that the model chooses from; it writes one itself where there are none. */
  choices?: readonly string[] | undefined;
};

/** The texts of a model that writes, in both directions. */
export interface WritingTexts {
  /** Ids that end an answer beside the pack's end ids. */
  readonly stopSequences: readonly (readonly number[])[];
  captionPrompt(prompt?: string): TokenizedPrompt;
  /** @throws UsageError when the model cannot write one of the choices, or cannot tell two of them apart. */
  questionPrompt(question: string, form?: QuestionForm): TokenizedPrompt;
  /** A question after earlier turns, oldest first. */
  conversationPrompt(turns: readonly Turn[], question: string): TokenizedPrompt;
  /** How many ids stand for a token; a vocabulary may be padded behind them. */
  readonly tokenCount: number;
  /** The text of ids as they were written, special tokens left out. */
  decode(tokenIds: readonly number[]): string;
  /** Begins a text whose ids come one by one; its pieces together are what `decode` makes of all of them. */
  startDecoding(): RowDecoder;
  /** The answer a user sees, of a text as it was decoded. */
  cleanUp(text: string): string;
}

export interface Model {
  readonly pack: Pack;
  /** How many images the caller should keep in flight so that every batch is full. */
  readonly imagesInFlight: number;
  captionPrompt(prompt?: string): TokenizedPrompt;
  /** As that of `WritingTexts`. */
  questionPrompt(question: string, form?: QuestionForm): TokenizedPrompt;
  /**
   * Encodes one image once and answers every prompt about it. Calls may overlap; they are batched together.
   *
   * @param pixelValues [3, S, S], given away: its buffer moves to an inference thread.
   * @returns one result per prompt, in order; an ImageError (prompt-too-long, not-a-number, internal) stands for a prompt that failed.
   */
  answer(
    pixelValues: Float32Array,
    prompts: readonly TokenizedPrompt[],
    options: AnswerOptions,
  ): Promise<(Answer | ImageError)[]>;
  /** Frees every native handle and ends the inference threads. Answers still open are rejected. */
  close(): Promise<void>;
}
