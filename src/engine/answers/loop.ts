/**
 * The work of the inference thread: images wait to be encoded in batches, their prompts go to the continuous batch, and a request is answered
 * as soon as all prompts of its image are.
 *
 * A prompt may ask the model to go on where its answer is short (`follow-up.ts`): that is one more prompt about the same image.
 *
 * Every request gets its results, whatever fails: what concerns one image or one prompt is its error, and anything else that of all open ones.
 *
 * The loop prefers full batches: while rows are being decoded it waits for a whole batch of images, and an idle model waits for a group of
 * them as long as they keep coming. Eight images together cost two thirds of eight images alone, which matters most where photographs are so
 * large that the cores are busy with decoding them.
 */
import { ImageError } from '../../errors.ts';
import type { LanguageModel } from '../../language/language-model.ts';
import { required } from '../../required.ts';
import type { ImageEmbeds } from '../../vision/image-embeds.ts';
import type { ImageEncoder } from '../../vision/image-encoder.ts';
import { samplingKey } from '../choosers.ts';
import { internalError } from '../model-failures.ts';
import { leastRoom, rowsPerAnswer, type FollowUp, type GenerationOptions, type PromptIds } from '../model.ts';
import { promptLength } from '../prompt-embeds.ts';
import { ContinuousBatch, type GeneratedRow, type Job } from './continuous-batch.ts';
import { asksAgain, followUpPrompt, type FollowUpTexts, type GeneratedAnswer } from './follow-up.ts';
import type { AnswerRequest } from './messages.ts';

/** An idle model starts without the rest of a group when no image has come for this long. */
const GROUP_PATIENCE_MS = 150;

/** What the loop needs of an image encoder; `ImageEncoder` is one. */
export type RequestEncoder = Pick<ImageEncoder, 'embedImages' | 'imageTokens' | 'readsInstruction'>;

/** What became of one prompt. */
export type PromptResult = GeneratedAnswer | ImageError;

/** A request, and who waits for the results of its prompts. */
type OpenRequest = AnswerRequest & { resolve: (results: PromptResult[]) => void };

/** A request with the image tokens of each of its prompts, or why there are none. */
type EncodedRequest = {
  request: OpenRequest;
  imageTokens: Float32Array[] | ImageError;
  /** Image tokens for a prompt that comes later, where they are not those of the earlier one. */
  tokensFor?: TokensFor | undefined;
};

type TokensFor = (instruction: PromptIds['instruction']) => Promise<Float32Array>;

/** A prompt of an encoded image, with the positions and rows that it needs in the cache. */
type PreparedPrompt = { job: Job; positions: number; rows: number };

/** An answer that is short, and what comes of asking the model to go on. */
type ShortAnswer = {
  request: OpenRequest;
  followUp: FollowUp;
  answer: GeneratedRow;
  imageTokensFor: TokensFor;
  settle: (result: PromptResult) => void;
};

export class InferenceLoop {
  readonly #encoder: RequestEncoder;
  readonly #language: LanguageModel;
  readonly #batchSize: number;
  readonly #groupSize: number;
  readonly #loadTexts: () => Promise<FollowUpTexts>;
  #texts: FollowUpTexts | undefined;
  /** Every request without its results, wherever it is. */
  readonly #open = new Set<OpenRequest>();
  /** Requests whose images wait to be encoded. */
  readonly #images: OpenRequest[] = [];
  /** In order of arrival. */
  readonly #prompts: PreparedPrompt[] = [];
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
    /** Called once, when an answer is to end with a stop text, or may be asked to go on. */
    loadTexts: () => Promise<FollowUpTexts> = refuseTexts,
  ) {
    this.#encoder = encoder;
    this.#language = language;
    this.#batchSize = sizes.batchSize;
    this.#groupSize = Math.min(sizes.groupSize, sizes.batchSize);
    this.#loadTexts = loadTexts;
  }

  /**
   * Answers every prompt about one image; work begins when the caller's turn ends.
   *
   * @returns one result per prompt, in order; never settled where the loop is closed before.
   */
  async answer(request: AnswerRequest): Promise<PromptResult[]> {
    return new Promise((resolve) => {
      const open = { ...request, resolve };
      this.#open.add(open);
      this.#images.push(open);
      this.#onArrival?.();
      this.#running ??= this.#run();
    });
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
      try {
        await this.#turn();
      } catch (error) {
        this.#giveUp(error);
      }
    }
    this.#running = undefined;
  }

  async #turn(): Promise<void> {
    if (this.#isDecodingNothing) await this.#gather();
    if (this.#closed) return;
    if (this.#shouldEncode()) await this.#encode();
    await this.#followUp();
    this.#admit();
    await this.#advance();
  }

  /** Something failed that should not: nobody knows which requests it concerns, so all that are open end with it. Later ones begin anew. */
  #giveUp(error: unknown): void {
    this.#images.length = 0;
    this.#prompts.length = 0;
    this.#shortAnswers.length = 0;
    this.#batch = undefined;
    for (const request of this.#open) this.#fail(request, internalError(error));
  }

  /** A request has one answer: what comes later is dropped. */
  #finish(request: OpenRequest, results: PromptResult[]): void {
    if (this.#open.delete(request)) request.resolve(results);
  }

  #fail(request: OpenRequest, error: ImageError): void {
    this.#finish(
      request,
      request.prompts.map(() => error),
    );
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
    // Without a batch nothing waits in it.
    const waiting = this.#prompts.length + (this.#batch?.waitingCount ?? 0);
    return waiting < this.#batchSize / 2 && this.#images.length >= this.#batchSize;
  }

  async #encode(): Promise<void> {
    const requests = this.#images.splice(0, this.#batchSize);
    for (const { request, imageTokens, tokensFor } of await this.#encodeBatch(requests)) {
      if (imageTokens instanceof ImageError) {
        this.#fail(request, imageTokens);
        continue;
      }
      try {
        this.#prompts.push(...this.#prepare(request, imageTokens, tokensFor));
      } catch (error) {
        this.#fail(request, internalError(error));
      }
    }
  }

  /** Encodes a batch; when it fails as a whole (memory, most likely), its images are tried one by one, so that one cannot take the others along. */
  async #encodeBatch(requests: readonly OpenRequest[]): Promise<EncodedRequest[]> {
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

  /** The prompts of a request, which is answered when all of them have their results. */
  #prepare(
    request: OpenRequest,
    imageTokensOfPrompts: readonly Float32Array[],
    tokensFor: TokensFor | undefined,
  ): PreparedPrompt[] {
    const results: PromptResult[] = [];
    let open = request.prompts.length;
    if (open === 0) this.#finish(request, results);
    return request.prompts.map((prompt, index) => {
      const { followUp } = prompt;
      const imageTokens = required(imageTokensOfPrompts[index], 'the image tokens of a prompt'); // [Q, d]
      const settle = (result: PromptResult): void => {
        results[index] = result;
        open--;
        if (open === 0) this.#finish(request, results);
      };
      return this.#preparePrompt(request, prompt, imageTokens, (answer) => {
        if (answer instanceof ImageError || !asksAgain(followUp, answer)) return settle(answer);
        const imageTokensFor = tokensFor ?? (async () => imageTokens);
        this.#shortAnswers.push({ request, followUp, answer, imageTokensFor, settle });
      });
    });
  }

  #preparePrompt(
    { pixelValues, options: asked }: AnswerRequest,
    { segments, continuations }: Pick<PromptIds, 'segments' | 'continuations'>,
    imageTokens: Float32Array,
    resolve: Job['resolve'],
  ): PreparedPrompt {
    const options = continuations === undefined ? asked : judging(asked, continuations);
    const key = options.search?.kind === 'sampling' ? { key: samplingKey(pixelValues, segments) } : {};
    const length = promptLength({ segments, imageTokens }, this.#language.declaration);
    return {
      job: { imageTokens, segments, options, ...key, resolve },
      positions: this.#language.positionsNeeded(length, options.maxNewTokens),
      rows: rowsPerAnswer(options),
    };
  }

  /** Asks for the rest of short answers. One that leaves no room for more stays as it is. */
  async #followUp(): Promise<void> {
    for (const { request, followUp, answer, imageTokensFor, settle } of this.#shortAnswers.splice(0)) {
      try {
        const { stopTexts = [], maxNewTokens } = request.options;
        const { segments, instruction } = followUpPrompt(followUp, answer, this.#loadedTexts, stopTexts);
        const imageTokens = await imageTokensFor(instruction); // [Q, d]
        const length = promptLength({ segments, imageTokens }, this.#language.declaration);
        if (this.#language.room(length, this.#language.positionsNeeded(length, maxNewTokens)) < 1) {
          settle(answer);
          continue;
        }
        const prompt = this.#preparePrompt(request, { segments }, imageTokens, (continuation) =>
          settle(continuation instanceof ImageError ? continuation : { ...answer, continuation }),
        );
        this.#prompts.push(prompt);
      } catch (error) {
        settle(internalError(error));
      }
    }
  }

  get #loadedTexts(): FollowUpTexts {
    return required(this.#texts, 'the tokenizer');
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
      // Else the loop would go round for ever.
      if (!this.#fits(next))
        throw new RangeError(`a prompt of ${next.positions} positions and ${next.rows} rows fits no batch`);
    }
    let fitting = this.#prompts.findIndex((prompt) => !this.#fits(prompt));
    if (fitting < 0) fitting = this.#prompts.length;
    for (const { job } of this.#prompts.splice(0, fitting)) this.#batch.add(job);
  }

  #fits({ positions, rows }: PreparedPrompt): boolean {
    return positions <= this.#maxLength && rows <= this.#rowsPerAnswer;
  }

  async #advance(): Promise<void> {
    const batch = this.#batch;
    if (batch === undefined) return;
    try {
      await batch.advance();
    } catch (error) {
      batch.rejectAll(internalError(error));
      this.#batch = undefined;
    }
  }
}

/**
 * Embeds each image once, and makes its image tokens: once as well, or for each prompt where the Q-Former reads the instruction.
 */
async function encodeRequests(encoder: RequestEncoder, requests: readonly OpenRequest[]): Promise<EncodedRequest[]> {
  const imageEmbeds = await encoder.embedImages(requests.map((request) => request.pixelValues));
  const pairs = requests.flatMap(({ prompts }, image) => prompts.map(({ instruction }) => ({ image, instruction })));
  const images = pairs.map(({ image }) => image);
  const imageTokens = await encoder.imageTokens(imageEmbeds, images, instructionsFor(encoder, pairs));
  return requests.map((request, image) => ({
    request,
    imageTokens: imageTokens.filter((_, pair) => images[pair] === image),
    tokensFor: encoder.readsInstruction ? tokensForLater(encoder, imageEmbeds, request, image) : undefined,
  }));
}

/** What the Q-Former reads of each prompt, where it reads them. */
function instructionsFor(
  { readsInstruction }: RequestEncoder,
  prompts: readonly Pick<PromptIds, 'instruction'>[],
): (readonly number[])[] | undefined {
  if (!readsInstruction) return undefined;
  return prompts.map(({ instruction }) => required(instruction, 'the instruction for the Q-Former'));
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
  return async (instruction) => {
    const [imageTokens] = await encoder.imageTokens(imageEmbeds, [image], instructionsFor(encoder, [{ instruction }]));
    return required(imageTokens, 'the image tokens of a prompt'); // [Q, d]
  };
}

function needsTexts({ options: { stopTexts = [] }, prompts }: AnswerRequest): boolean {
  return stopTexts.length > 0 || prompts.some(({ followUp }) => followUp !== undefined);
}

async function refuseTexts(): Promise<never> {
  throw new RangeError('a loop whose answers end with stop texts, or go on, needs a way to load the tokenizer');
}
