/**
 * A conversation about one image, as the thread that holds the model carries it on: earlier turns, the image, and the row they lie in.
 *
 * The image is encoded once; a Q-Former that reads the instruction looks at its embeddings again for every question. Turns that leave no
 * room for an answer are forgotten, oldest first: the reference (MiniGPT-4, `answer_prepare`) cuts the front off instead, and with it the
 * image and the system text.
 */
import { ImageError } from '../../errors.ts';
import type { FinishReason } from '../../language/chooser.ts';
import type { LanguageModel } from '../../language/language-model.ts';
import type { Turn } from '../../prompt/prompt-family.ts';
import type { ImageEmbeds } from '../../vision/image-embeds.ts';
import type { ImageEncoder } from '../../vision/image-encoder.ts';
import { required } from '../../required.ts';
import { newChooser, samplingKey } from '../choosers.ts';
import { notANumber } from '../model-failures.ts';
import { rowsPerAnswer, type GenerationOptions, type TokenizedPrompt } from '../model.ts';
import type { ImagePrompt } from '../prompt-embeds.ts';
import type { ModelTexts } from '../texts/model-texts.ts';
import { KeptRow } from './kept-row.ts';
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

/** Of the positions of a model, what forgetting leaves free beyond the next answer. */
const SPARE_SHARE = 1 / 4;

/** The image that is talked about. */
type ShownImage = {
  /** [3, S, S] */
  pixelValues: Float32Array;
  /** [1, N, Dv] */
  imageEmbeds: ImageEmbeds;
  /** [Q, d]; undefined where they belong to the image and a question. */
  imageTokens: Float32Array | undefined;
};

/** A prompt, the turns it holds, and the tokens that may follow; fewer than 1 where the prompt itself is too long. */
type FittedPrompt = { prompt: TokenizedPrompt; imagePrompt: ImagePrompt; turns: Turn[]; room: number };

export class Conversation {
  readonly #encoder: Encoder;
  readonly #language: LanguageModel;
  readonly #texts: Texts;
  readonly #options: GenerationOptions;
  readonly #row: KeptRow;
  #image: ShownImage | undefined;
  #turns: Turn[] = [];

  /** @throws RangeError for beams and stop texts: both decide late what was said, and a conversation shows it at once. */
  constructor(encoder: Encoder, language: LanguageModel, texts: Texts, options: GenerationOptions) {
    if (rowsPerAnswer(options) > 1 || (options.stopTexts !== undefined && options.stopTexts.length > 0)) {
      throw new RangeError('a conversation is written greedily or by sampling, without stop texts');
    }
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
    const imageTokens = this.#encoder.readsInstruction ? undefined : await this.#tokensOf(imageEmbeds); // [Q, d]
    this.#image = { pixelValues, imageEmbeds, imageTokens };
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
    const { maxNewTokens } = this.#options;
    const { maxPositionEmbeddings } = this.#language.declaration;
    // Without the oldest turn, everything behind the image is read anew: where that can be saved, more is forgotten at once, and less often.
    const spare = this.#language.extend === undefined ? 0 : Math.floor(maxPositionEmbeddings * SPARE_SHARE);
    let fitting: FittedPrompt | undefined;
    let fitted = await this.#promptAfter(this.#turns, question);
    if (fitted.room >= maxNewTokens) return fitted;
    while (fitted.turns.length > 0) {
      fitted = await this.#promptAfter(fitted.turns.slice(1), question);
      if (fitted.room >= maxNewTokens) fitting ??= fitted;
      if (fitted.room >= maxNewTokens + spare && fitted.turns.length > 0) return fitted;
    }
    if (fitted.room < 1) throw promptTooLong(this.#row.lengthOf(fitted.imagePrompt), maxPositionEmbeddings);
    return fitting ?? fitted;
  }

  async #promptAfter(turns: Turn[], question: string): Promise<FittedPrompt> {
    const prompt = this.#texts.tokenize(this.#texts.prompts.conversation(turns, question));
    const imagePrompt = { segments: prompt.segments, imageTokens: await this.#imageTokensFor(prompt) };
    const { maxPositionEmbeddings } = this.#language.declaration;
    const room = this.#language.room(this.#row.lengthOf(imagePrompt), maxPositionEmbeddings);
    return { prompt, imagePrompt, turns, room };
  }

  async #imageTokensFor({ instruction }: TokenizedPrompt): Promise<Float32Array> {
    const { imageEmbeds, imageTokens } = this.#shownImage;
    return imageTokens ?? this.#tokensOf(imageEmbeds, required(instruction, 'the instruction for the Q-Former'));
  }

  async #tokensOf(imageEmbeds: ImageEmbeds, instruction?: readonly number[]): Promise<Float32Array> {
    const instructions = instruction && [instruction];
    const [imageTokens] = await this.#encoder.imageTokens(imageEmbeds, [0], instructions);
    return required(imageTokens, 'the image tokens of a prompt'); // [Q, d]
  }

  get #shownImage(): ShownImage {
    return required(this.#image, 'the image of a conversation');
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
    const start = await this.#row.read(prompt, signal);
    if (start === undefined) return { text: '', tokenIds: [], finishReason: 'interrupted', score: 0 };
    const chooser = newChooser(this.#options, {
      length: start.length,
      room,
      key: samplingKey(this.#shownImage.pixelValues, prompt.segments),
      startDecoding: () => this.#texts.startDecoding(),
    });
    let { logits } = start; // [V]
    for (let tokenIds: readonly number[] = []; ;) {
      if (signal?.aborted === true) {
        const { score } = chooser.written;
        return { text: streamed.text, tokenIds: [...tokenIds], finishReason: 'interrupted', score };
      }
      const outcome = chooser.advance(logits);
      if (outcome === 'not-a-number') throw notANumber(tokenIds.length);
      const { written } = chooser;
      tokenIds = written.tokenIds;
      if (outcome !== undefined) {
        const text = this.#texts.prompts.cleanUp(this.#texts.decode(tokenIds));
        show(streamed.show(text));
        return { text, tokenIds: [...tokenIds], finishReason: outcome, score: written.score };
      }
      const tokenId = required(chooser.nextTokenIds[0], 'the token that was chosen');
      show(streamed.add(tokenId));
      logits = await this.#row.step(tokenId, chooser.length); // [V]
      chooser.length++;
    }
  }
}

function promptTooLong(length: number, limit: number): ImageError {
  return new ImageError(
    'prompt-too-long',
    `image and question take ${length} positions, which leaves no room for an answer in the ${limit} that the model reads. Shorten the question.`,
  );
}
