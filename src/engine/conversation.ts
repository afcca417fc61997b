/**
 * A conversation about one image, as the thread that holds the model carries it on: earlier turns, the image, and the row they lie in.
 *
 * The image is encoded once; a Q-Former that reads the instruction looks at its embeddings again for every question. Turns that leave no
 * room for an answer are forgotten, oldest first: the reference (MiniGPT-4, `answer_prepare`) cuts the front off instead, and with it the
 * image and the system text.
 */
import { ImageError } from '../errors.ts';
import { GenerationState, type FinishReason } from '../language/generation-state.ts';
import type { LanguageModel } from '../language/language-model.ts';
import { minNewTokens, noRepeatNgram, repetitionPenalty, type LogitFilter } from '../language/logit-filters.ts';
import { endsWithSequence } from '../language/stop-sequences.ts';
import type { Turn } from '../prompt/prompt-family.ts';
import type { ImageEmbeds } from '../vision/image-embeds.ts';
import type { ImageEncoder } from '../vision/image-encoder.ts';
import { KeptRow, type ImagePrompt } from './kept-row.ts';
import type { GenerationOptions, TokenizedPrompt } from './model.ts';
import type { ModelTexts } from './model-texts.ts';
import { StreamedAnswer, type AnswerPiece } from './streamed-answer.ts';

export type ChatAnswer = {
  /** Cleaned up; of an interrupted answer what was shown. */
  text: string;
  /** Generated ids, with the stop id where one was generated. */
  tokenIds: number[];
  finishReason: FinishReason | 'interrupted';
  /** Sum of natural log-probabilities of `tokenIds`; 0 unless asked for. */
  score: number;
};

export type AnswerListener = {
  /** Before the first token: the exact prompt, images as `<image>`, and how many turns were forgotten to make room for it. */
  onPrompt: (prompt: string, forgottenTurns: number) => void;
  onText: (piece: AnswerPiece) => void;
};

type Encoder = Pick<ImageEncoder, 'embedImages' | 'imageTokens' | 'readsInstruction'>;
type Texts = Pick<ModelTexts, 'prompts' | 'tokenize' | 'decode' | 'startDecoding'>;

/** A prompt that fits, the turns it holds, and the tokens that may follow. */
type FittedPrompt = { prompt: TokenizedPrompt; imagePrompt: ImagePrompt; turns: Turn[]; room: number };

export class Conversation {
  readonly #encoder: Encoder;
  readonly #language: LanguageModel;
  readonly #texts: Texts;
  readonly #options: GenerationOptions;
  readonly #row: KeptRow;
  #imageEmbeds: ImageEmbeds | undefined;
  /** Where they belong to the image alone. */
  #imageTokens: Float32Array | undefined;
  #turns: Turn[] = [];

  constructor(encoder: Encoder, language: LanguageModel, texts: Texts, options: GenerationOptions) {
    this.#encoder = encoder;
    this.#language = language;
    this.#texts = texts;
    this.#options = options;
    this.#row = new KeptRow(language);
  }

  /** Turns that the next prompt will hold if there is room. */
  get turns(): readonly Turn[] {
    return this.#turns;
  }

  /** Begins anew with another image. @param pixelValues [3, S, S] */
  async showImage(pixelValues: Float32Array): Promise<void> {
    const imageEmbeds = await this.#encoder.embedImages([pixelValues]); // [1, N, Dv]
    this.#imageTokens = this.#encoder.readsInstruction
      ? undefined
      : (await this.#encoder.imageTokens(imageEmbeds, [0]))[0]; // [Q, d]
    this.#imageEmbeds = imageEmbeds;
    this.forgetTurns();
  }

  /** Begins anew with the same image. */
  forgetTurns(): void {
    this.#turns = [];
  }

  /**
   * Answers a question. It becomes a turn, also when `signal` stops it after its first words.
   *
   * @throws ImageError when the question leaves no room for an answer even by itself (prompt-too-long), or the model computed nothing usable
   * (not-a-number); the turns before it stay.
   */
  async ask(question: string, listener: AnswerListener, signal?: AbortSignal): Promise<ChatAnswer> {
    const { prompt, imagePrompt, turns, room } = await this.#fit(question);
    listener.onPrompt(prompt.text, this.#turns.length - turns.length);
    const answer = await this.#write(imagePrompt, room, listener, signal);
    const wasSilenced = answer.finishReason === 'interrupted' && answer.text === '';
    this.#turns = wasSilenced ? turns : [...turns, { question, answer: answer.text }];
    return answer;
  }

  /** The prompt with as many of the latest turns as leave room for an answer. */
  async #fit(question: string): Promise<FittedPrompt> {
    const { maxPositionEmbeddings } = this.#language.declaration;
    for (let forgotten = 0; ; forgotten++) {
      const turns = this.#turns.slice(forgotten);
      const prompt = this.#texts.tokenize(this.#texts.prompts.conversation(turns, question));
      const imagePrompt = { segments: prompt.segments, imageTokens: await this.#imageTokensFor(prompt) };
      const length = this.#row.lengthOf(imagePrompt);
      const room = this.#language.room(length, maxPositionEmbeddings);
      if (room >= this.#options.maxNewTokens || (turns.length === 0 && room > 0)) {
        return { prompt, imagePrompt, turns, room };
      }
      if (turns.length === 0) throw promptTooLong(length, maxPositionEmbeddings);
    }
  }

  async #imageTokensFor({ instruction = [] }: TokenizedPrompt): Promise<Float32Array> {
    if (this.#imageTokens !== undefined) return this.#imageTokens;
    if (this.#imageEmbeds === undefined) throw new RangeError('a conversation needs an image before its first question');
    const [imageTokens] = await this.#encoder.imageTokens(this.#imageEmbeds, [0], [instruction]);
    return imageTokens ?? new Float32Array(); // [Q, d]
  }

  async #write(
    prompt: ImagePrompt,
    room: number,
    listener: AnswerListener,
    signal: AbortSignal | undefined,
  ): Promise<ChatAnswer> {
    const streamed = new StreamedAnswer(this.#texts.startDecoding(), this.#texts.prompts);
    const show = (piece: AnswerPiece | undefined): void => {
      if (piece !== undefined) listener.onText(piece);
    };
    const { logits: first, length } = await this.#row.read(prompt); // [V]
    const state = newState(length, room, this.#options);
    let logits = first;
    for (;;) {
      if (signal?.aborted === true) {
        return { text: streamed.text, tokenIds: state.tokenIds, finishReason: 'interrupted', score: state.score };
      }
      const outcome = state.advance(logits);
      if (outcome === 'not-a-number') throw notANumber(state.tokenIds.length);
      if (outcome !== undefined) {
        const text = this.#texts.prompts.cleanUp(this.#texts.decode(state.tokenIds));
        show(streamed.show(text));
        return { text, tokenIds: state.tokenIds, finishReason: outcome, score: state.score };
      }
      show(streamed.add(state.lastTokenId));
      logits = await this.#row.step(state.lastTokenId, state.length); // [V]
      state.length++;
    }
  }
}

function newState(length: number, room: number, options: GenerationOptions): GenerationState {
  const { maxNewTokens, eosTokenIds, stopSequences, score } = options;
  return new GenerationState(length, {
    maxNewTokens: Math.min(maxNewTokens, room),
    eosTokenIds,
    stopRules: stopSequences.length > 0 ? [endsWithSequence(stopSequences)] : [],
    filters: filtersOf(options),
    score,
  });
}

function filtersOf(options: GenerationOptions): LogitFilter[] {
  const { minNewTokens: least, repetitionPenalty: penalty, noRepeatNgram: ngram, eosTokenIds, stopSequences } = options;
  const filters: LogitFilter[] = [];
  if (penalty !== 1) filters.push(repetitionPenalty(penalty));
  if (ngram > 0) filters.push(noRepeatNgram(ngram));
  if (least > 0) filters.push(minNewTokens(least, eosTokenIds, stopSequences));
  return filters;
}

function promptTooLong(length: number, limit: number): ImageError {
  return new ImageError(
    'prompt-too-long',
    `image and question take ${length} positions, which leaves no room for an answer in the ${limit} that the model reads. Shorten the question.`,
  );
}

function notANumber(tokens: number): ImageError {
  return new ImageError(
    'not-a-number',
    `the model computed a value that is not a number after ${tokens} tokens, so its text cannot be trusted. Check the pack with "minigpt models verify".`,
  );
}
