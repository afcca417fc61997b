/**
 * The work of the inference thread: images wait to be encoded in batches, their prompts go to the continuous batch, and answers are sent
 * as soon as all prompts of an image have theirs.
 *
 * A prompt may ask the model to go on where its answer is short (`follow-up.ts`): that is one more prompt about the same image.
 *
 * The loop prefers full batches: while rows are being decoded it waits for a whole batch of images, and an idle model waits for a group of
 * them as long as they keep coming. Eight images together cost two thirds of eight images alone, which matters most where photographs are so
 * large that the cores are busy with decoding them.
 */
import { ImageError } from '../../errors.ts';
import type { LanguageModel } from '../../language/language-model.ts';
import type { ImageEmbeds } from '../../vision/image-embeds.ts';
import type { ImageEncoder } from '../../vision/image-encoder.ts';
import { samplingKey } from '../choosers.ts';
import { ContinuousBatch, type GeneratedRow, type Job } from './continuous-batch.ts';
import type { AnswerRequest, FailedAnswer } from './messages.ts';
import { asksAgain, followUpPrompt, type FollowUpTexts, type GeneratedAnswer } from './follow-up.ts';
import { internalError } from '../model-failures.ts';
import {
  leastRoom,
  promptLength,
  rowsPerAnswer,
  type FollowUp,
  type GenerationOptions,
  type PromptIds,
} from '../model.ts';

/** An idle model starts without the rest of a group when no image has come for this long. */
const GROUP_PATIENCE_MS = 150;

/** What the loop needs of an image encoder; `ImageEncoder` is one. */
export type RequestEncoder = Pick<ImageEncoder, 'embedImages' | 'imageTokens' | 'readsInstruction'>;

/** A request with the image tokens of each of its prompts, or why there are none. */
type EncodedRequest = {
  request: AnswerRequest;
  imageTokens: Float32Array[] | ImageError;
  /** Image tokens for a prompt that comes later, where they are not those of the earlier one. */
  tokensFor?: TokensFor | undefined;
};

type TokensFor = (instruction: PromptIds['instruction']) => Promise<Float32Array>;

/** An answer that is short, and what comes of asking the model to go on. */
type ShortAnswer = {
  request: AnswerRequest;
  followUp: FollowUp;
  answer: GeneratedRow;
  imageTokensFor: TokensFor;
  settle: (result: GeneratedAnswer | ImageError) => void;
};

export type Answered = { id: number; results: (GeneratedAnswer | FailedAnswer)[] };

export class InferenceLoop {
  readonly #encoder: RequestEncoder;
  readonly #language: LanguageModel;
  readonly #batchSize: number;
  readonly #groupSize: number;
  readonly #send: (answered: Answered) => void;
  readonly #loadTexts: () => Promise<FollowUpTexts>;
  #texts: FollowUpTexts | undefined;
  readonly #images: AnswerRequest[] = [];
  /** Prompts of encoded images, with the positions and rows that each needs in the cache, in order of arrival. */
  readonly #prompts: { job: Job; positions: number; rows: number }[] = [];
  readonly #shortAnswers: ShortAnswer[] = [];
  #batch: ContinuousBatch | undefined;
  /** Positions that the rows of the present batch have. */
  #maxLength = 0;
  /** Rows that an answer takes in the present batch at most. */
  #rowsPerAnswer = 1;
  /** Called when a request comes in while the loop waits for a group. */
  #onArrival: (() => void) | undefined;
  /** The loop while it works. */
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(
    encoder: RequestEncoder,
    language: LanguageModel,
    sizes: {
      /** Images encoded together at most, and answers decoded together. */
      batchSize: number;
      /** Images an idle model waits for while they keep coming; 1 starts at once. */
      groupSize: number;
    },
    send: (answered: Answered) => void,
    /** Called once, when an answer is to end with a stop text, or may be asked to go on. */
    loadTexts: () => Promise<FollowUpTexts> = refuseTexts,
  ) {
    this.#encoder = encoder;
    this.#language = language;
    this.#batchSize = sizes.batchSize;
    this.#groupSize = Math.min(sizes.groupSize, sizes.batchSize);
    this.#send = send;
    this.#loadTexts = loadTexts;
  }

  /** Takes a request; work begins when the caller's turn ends. */
  add(request: AnswerRequest): void {
    this.#images.push(request);
    this.#onArrival?.();
    this.#running ??= this.#run();
  }

  /** Stops after the run of the graph that is under way; what is not answered by then is dropped. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#onArrival?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    // Requests that were sent together arrive one by one: let them all in before the first batch is cut.
    await new Promise(setImmediate);
    while (!this.#closed && !this.#isIdle) {
      if (this.#isDecodingNothing) await this.#gather();
      if (this.#closed) break;
      if (this.#shouldEncode()) await this.#encode();
      await this.#followUp();
      this.#admit();
      await this.#advance();
    }
    this.#running = undefined;
  }

  get #isIdle(): boolean {
    return this.#images.length === 0 && this.#isDecodingNothing;
  }

  get #isDecodingNothing(): boolean {
    return this.#prompts.length === 0 && this.#shortAnswers.length === 0 && this.#batch?.isIdle !== false;
  }

  /** Waits until a group of images is there, or none has come for a while. */
  async #gather(): Promise<void> {
    while (!this.#closed && this.#images.length < this.#groupSize) {
      const came = await new Promise<boolean>((resolve) => {
        const patience = setTimeout(() => resolve(false), GROUP_PATIENCE_MS);
        this.#onArrival = () => {
          clearTimeout(patience);
          resolve(true);
        };
      });
      this.#onArrival = undefined;
      if (!came) return;
    }
  }

  #shouldEncode(): boolean {
    if (this.#images.length === 0) return false;
    if (this.#isDecodingNothing) return true;
    const waiting = this.#prompts.length + (this.#batch?.waitingCount ?? 0);
    return waiting < this.#batchSize / 2 && this.#images.length >= this.#batchSize;
  }

  async #encode(): Promise<void> {
    const requests = this.#images.splice(0, this.#batchSize);
    for (const encoded of await this.#encodeBatch(requests)) {
      const { request, imageTokens, tokensFor } = encoded;
      if (imageTokens instanceof ImageError) {
        const { code, message } = imageTokens;
        this.#send({ id: request.id, results: request.prompts.map(() => ({ error: { code, message } })) });
      } else {
        this.#addPrompts(request, imageTokens, tokensFor);
      }
    }
  }

  /** Encodes a batch; when it fails as a whole (memory, most likely), its images are tried one by one, so that one cannot take the others along. */
  async #encodeBatch(requests: readonly AnswerRequest[]): Promise<EncodedRequest[]> {
    try {
      if (requests.some(needsTexts)) this.#texts ??= await this.#loadTexts();
      return await encodeRequests(this.#encoder, requests);
    } catch (error) {
      const [request] = requests;
      if (request === undefined) return [];
      if (requests.length === 1) return [{ request, imageTokens: internalError(error) }];
      const results = [];
      for (const single of requests) results.push(...(await this.#encodeBatch([single])));
      return results;
    }
  }

  #addPrompts(
    request: AnswerRequest,
    imageTokensOfPrompts: readonly Float32Array[],
    tokensFor: TokensFor | undefined,
  ): void {
    const results: (GeneratedAnswer | FailedAnswer)[] = [];
    let open = request.prompts.length;
    request.prompts.forEach((prompt, index) => {
      const { followUp } = prompt;
      const imageTokens = imageTokensOfPrompts[index] ?? new Float32Array(); // [Q, d]
      const settle = (result: GeneratedAnswer | ImageError): void => {
        results[index] =
          result instanceof ImageError ? { error: { code: result.code, message: result.message } } : result;
        open--;
        if (open === 0) this.#send({ id: request.id, results });
      };
      this.#addPrompt(request, prompt, imageTokens, (answer) => {
        if (answer instanceof ImageError || !asksAgain(followUp, answer)) return settle(answer);
        const imageTokensFor = tokensFor ?? (async () => imageTokens);
        this.#shortAnswers.push({ request, followUp, answer, imageTokensFor, settle });
      });
    });
  }

  #addPrompt(
    request: AnswerRequest,
    { segments, continuations }: Pick<PromptIds, 'segments' | 'continuations'>,
    imageTokens: Float32Array,
    resolve: Job['resolve'],
  ): void {
    const { pixelValues } = request;
    const options = continuations === undefined ? request.options : judging(request.options, continuations);
    const key = options.search?.kind === 'sampling' ? { key: samplingKey(pixelValues, segments) } : {};
    const length = promptLength(segments, imageTokens, this.#language.declaration);
    const positions = this.#language.positionsNeeded(length, options.maxNewTokens);
    this.#prompts.push({
      job: { imageTokens, segments, options, ...key, resolve },
      positions,
      rows: rowsPerAnswer(options),
    });
  }

  /** Asks for the rest of short answers. One that leaves no room for more stays as it is. */
  async #followUp(): Promise<void> {
    for (const { request, followUp, answer, imageTokensFor, settle } of this.#shortAnswers.splice(0)) {
      try {
        const { stopTexts = [], maxNewTokens } = request.options;
        const { segments, instruction } = followUpPrompt(followUp, answer, this.#loadedTexts, stopTexts);
        const imageTokens = await imageTokensFor(instruction); // [Q, d]
        const length = promptLength(segments, imageTokens, this.#language.declaration);
        if (this.#language.room(length, this.#language.positionsNeeded(length, maxNewTokens)) < 1) {
          settle(answer);
          continue;
        }
        this.#addPrompt(request, { segments }, imageTokens, (continuation) =>
          settle(continuation instanceof ImageError ? continuation : { ...answer, continuation }),
        );
      } catch (error) {
        settle(internalError(error));
      }
    }
  }

  get #loadedTexts(): FollowUpTexts {
    if (this.#texts === undefined) throw new RangeError('this needs the tokenizer, which should be loaded by now');
    return this.#texts;
  }

  /**
   * Moves prompts into the batch. One that needs longer rows than the batch has, or more of them, waits until the batch is empty, and then gets a
   * new one: what a row may write must not depend on who else is there.
   */
  #admit(): void {
    const [next] = this.#prompts;
    if (next === undefined) return;
    if (this.#batch === undefined || (!this.#fits(next) && this.#batch.isIdle)) {
      this.#maxLength = Math.max(this.#maxLength, ...this.#prompts.map(({ positions }) => positions));
      this.#rowsPerAnswer = Math.max(this.#rowsPerAnswer, ...this.#prompts.map(({ rows }) => rows));
      const rows = this.#batchSize * this.#rowsPerAnswer;
      this.#batch = new ContinuousBatch(this.#language, rows, this.#maxLength, () => this.#loadedTexts.startDecoding());
    }
    let fitting = this.#prompts.findIndex((prompt) => !this.#fits(prompt));
    if (fitting < 0) fitting = this.#prompts.length;
    for (const { job } of this.#prompts.splice(0, fitting)) this.#batch.add(job);
  }

  #fits({ positions, rows }: { positions: number; rows: number }): boolean {
    return positions <= this.#maxLength && rows <= this.#rowsPerAnswer;
  }

  async #advance(): Promise<void> {
    try {
      await this.#batch?.advance();
    } catch (error) {
      // Rows of a failed step are in an unknown state, so all of them end here, each as its image's error.
      this.#batch?.rejectAll(internalError(error));
      this.#batch = undefined;
    }
  }
}

/**
 * Embeds each image once, and makes its image tokens: once as well, or for each prompt where the Q-Former reads the instruction.
 */
async function encodeRequests(encoder: RequestEncoder, requests: readonly AnswerRequest[]): Promise<EncodedRequest[]> {
  const imageEmbeds = await encoder.embedImages(requests.map((request) => request.pixelValues));
  const pairs = requests.flatMap(({ prompts }, image) => prompts.map(({ instruction }) => ({ image, instruction })));
  const images = pairs.map(({ image }) => image);
  const instructions = pairs.map(({ instruction }) => instruction ?? []);
  const imageTokens = await encoder.imageTokens(
    imageEmbeds,
    images,
    encoder.readsInstruction ? instructions : undefined,
  );
  return requests.map((request, image) => ({
    request,
    imageTokens: imageTokens.filter((_, pair) => images[pair] === image),
    tokensFor: encoder.readsInstruction ? tokensForLater(encoder, imageEmbeds, request, image) : undefined,
  }));
}

/** The options of an answer that is chosen among given ones. */
function judging(options: GenerationOptions, continuations: readonly (readonly number[])[]): GenerationOptions {
  const search = { kind: 'choices', continuations } as const;
  return { ...options, maxNewTokens: leastRoom({ search }), search };
}

/** Where the instruction is read, a later prompt about the image has tokens of its own. The embeddings are held only while one may come. */
function tokensForLater(
  encoder: RequestEncoder,
  imageEmbeds: ImageEmbeds,
  { prompts }: AnswerRequest,
  image: number,
): TokensFor | undefined {
  if (prompts.every(({ followUp }) => followUp === undefined)) return undefined;
  return async (instruction = []) => {
    const [imageTokens] = await encoder.imageTokens(imageEmbeds, [image], [instruction]);
    return imageTokens ?? new Float32Array(); // [Q, d]
  };
}

function needsTexts({ options, prompts }: AnswerRequest): boolean {
  return (options.stopTexts ?? []).length > 0 || prompts.some(({ followUp }) => followUp !== undefined);
}

async function refuseTexts(): Promise<never> {
  throw new RangeError('a loop whose answers end with stop texts, or go on, needs a way to load the tokenizer');
}
