/**
 * A loaded model as one object: what the pipeline asks, and all it knows of models.
 */
import type { ImageError } from '../errors.ts';
import type { Pack } from '../pack/model-declaration.ts';

/** A prompt as it is sent to the model. */
export type PromptIds = {
  /** Token ids of each text segment in the model's order; null stands for the image tokens. */
  segments: readonly (readonly number[] | null)[];
  /** Token ids of the instruction for the Q-Former; undefined where it reads none. */
  instruction: readonly number[] | undefined;
};

/** A prompt that is ready for the model, with what is shown to a user: the exact text, images as `<image>`. */
export type TokenizedPrompt = PromptIds & { text: string };

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
};

/** What a caller decides of an answer; how it ends is the model's own. */
export type AnswerOptions = Pick<GenerationOptions, 'maxNewTokens' | 'minNewTokens' | 'score'>;

/** What the model wrote for one image and one prompt. */
export type Answer = {
  text: string;
  /** Generated ids, with the stop id where one was generated. */
  tokenIds: number[];
  finishReason: 'stop' | 'length';
  /** Sum of natural log-probabilities of `tokenIds`; absent unless asked for. */
  score?: number;
};

export type LoadOptions = {
  /** Threads of the arithmetic, over all copies of the model. */
  threads: number;
  /** How many images are to come: a model is copied for the cores only where that pays (see `inference-pool.ts`). */
  images: number;
  /** Images encoded together, and rows decoded together. */
  batchSize: number;
};

/** The texts of a model that writes, in both directions. */
export interface WritingTexts {
  /** Ids that end an answer beside the pack's end ids. */
  readonly stopSequences: readonly (readonly number[])[];
  captionPrompt(prompt?: string): TokenizedPrompt;
  questionPrompt(question: string): TokenizedPrompt;
  /** The answer a user sees, of the ids that were written. */
  answer(tokenIds: readonly number[]): string;
}

export interface Model {
  readonly pack: Pack;
  /** How many images the caller should keep in flight so that every batch is full. */
  readonly imagesInFlight: number;
  captionPrompt(prompt?: string): TokenizedPrompt;
  questionPrompt(question: string): TokenizedPrompt;
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
