/**
 * A loaded model as one object: what the pipeline asks, and all it knows of models.
 */
import type { ImageError } from '../errors.ts';
import type { Pack } from '../pack/model-declaration.ts';
import type { PromptFamily } from '../prompt/prompt-family.ts';

/** A prompt that is ready for the model: what is shown to a user, and what is sent. */
export type TokenizedPrompt = {
  /** The exact text, images shown as `<image>`. */
  text: string;
  /** Token ids of each text segment in the model's order; null stands for the image tokens. */
  segments: readonly (readonly number[] | null)[];
};

export type GenerationOptions = {
  maxNewTokens: number;
  minNewTokens: number;
  /** Whether `score` is wanted: it costs a pass over the vocabulary per token. */
  score: boolean;
};

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

export interface Model {
  readonly pack: Pack;
  readonly prompts: PromptFamily;
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
    options: GenerationOptions,
  ): Promise<(Answer | ImageError)[]>;
  /** Frees every native handle and ends the inference threads. Answers still open are rejected. */
  close(): Promise<void>;
}
