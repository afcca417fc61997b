/**
 * Continuous batching: answers about different images and prompts are written together, and one that ends gives its place to the next prompt at
 * once. An answer takes one row of the cache, or as many neighbouring rows as it has beams.
 *
 * A row's numbers depend on nothing but its own prompt and history: positions, cache length and stopping are its own, and a step over other
 * rows computes each of them apart. So an answer is the same alone, in any batch and in any order.
 *
 * Whatever fails, every job gets one result: its answer, or the error of what failed.
 */
import { ImageError } from '../../errors.ts';
import type { Chooser, FinishReason, JudgedChoices } from '../../language/chooser.ts';
import type { LanguageModel, Prefilled, RowCache, RowEmbeds } from '../../language/language-model.ts';
import type { RowDecoder } from '../../language/stop-texts.ts';
import { required } from '../../required.ts';
import { newChooser } from '../choosers.ts';
import { internalError, notANumber } from '../model-failures.ts';
import { leastRoom, rowsPerAnswer, type GenerationOptions } from '../model.ts';
import { embedPrompt, type ImagePrompt } from '../prompt-embeds.ts';

/** A prompt for one image, and who waits for its answer. Its image tokens are shared by all prompts of an image. */
export type Job = ImagePrompt & {
  options: GenerationOptions;
  /** Stands for image and prompt in the seed of sampling (`samplingKey`); only sampling needs it. */
  key?: readonly number[];
  /** Called once. */
  resolve: (result: GeneratedRow | ImageError) => void;
};

export type GeneratedRow = {
  tokenIds: number[];
  finishReason: FinishReason;
  score: number;
  /** What beams are ranked by; only where there are beams. */
  beamScore?: number;
  /** Only where the answer was chosen among given ones. */
  choices?: JudgedChoices;
};

type ActiveAnswer = { job: Job; chooser: Chooser; promptLength: number };

/** An answer with the logits of its rows, [rows, V]; of its prompt, [1, V]. */
type AnswerLogits = { answer: ActiveAnswer; logits: Float32Array };

/** A prompt that fits, with the tokens that it leaves room for. */
type AdmittedJob = { job: Job; row: RowEmbeds; room: number };

export class ContinuousBatch {
  readonly #language: LanguageModel;
  #cache: RowCache;
  readonly #startDecoding: () => RowDecoder;
  /** Every job without a result: those that wait, are being read, and are being written. */
  readonly #open = new Set<Job>();
  readonly #waiting: Job[] = [];
  /** In the order of their rows, which are the first ones of the cache without a gap. */
  readonly #active: ActiveAnswer[] = [];

  /**
   * @param maxLength the greatest `positionsNeeded` of all prompts that will be added
   * @param startDecoding begins the text of a row; needed where an answer ends with a stop text
   */
  constructor(
    language: LanguageModel,
    rows: number,
    maxLength: number,
    startDecoding: () => RowDecoder = refuseToDecode,
  ) {
    this.#language = language;
    this.#cache = language.newCache(rows, maxLength);
    this.#startDecoding = startDecoding;
  }

  get isIdle(): boolean {
    return this.#open.size === 0;
  }

  /** Prompts that wait for their rows. */
  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** Answers that are being written. */
  get activeCount(): number {
    return this.#active.length;
  }

  /** @throws RangeError when the answer takes more rows than there are: a mistake of the caller. */
  add(job: Job): void {
    const needed = rowsPerAnswer(job.options);
    if (needed > this.#cache.rows)
      throw new RangeError(`an answer of ${needed} rows in a batch of ${this.#cache.rows} rows`);
    this.#open.add(job);
    this.#waiting.push(job);
  }

  /** Fills free rows from the waiting prompts, then writes one token in every row. What fails is the result of the jobs that it concerns. */
  async advance(): Promise<void> {
    if (this.#shouldFill()) await this.#fill();
    if (this.#active.length > 0) await this.#step();
  }

  /** Gives up all answers and prompts. */
  rejectAll(error: ImageError): void {
    this.#waiting.length = 0;
    this.#active.length = 0;
    for (const job of this.#open) this.#finish(job, error);
  }

  /** A job has one result: what comes later is dropped. */
  #finish(job: Job, result: GeneratedRow | ImageError): void {
    if (this.#open.delete(job)) job.resolve(result);
  }

  get #usedRows(): number {
    return this.#active.reduce((sum, { chooser }) => sum + chooser.rows, 0);
  }

  /** A prompt is read faster together with others, so a single free place waits for company while the other rows are busy. */
  #shouldFill(): boolean {
    const [next] = this.#waiting;
    if (next === undefined) return false;
    const free = this.#cache.rows - this.#usedRows;
    const enough = Math.max(Math.ceil(this.#cache.rows / 4), rowsPerAnswer(next.options));
    return free >= enough || this.#active.length === 0;
  }

  async #fill(): Promise<void> {
    const admitted: AdmittedJob[] = [];
    for (const job of this.#takeFitting()) {
      const prompt = await this.#embed(job);
      if (prompt instanceof ImageError) this.#finish(job, prompt);
      else admitted.push(prompt);
    }
    await this.#read(admitted);
  }

  /** Takes as many waiting prompts, in their order, as there are rows for. */
  #takeFitting(): Job[] {
    let free = this.#cache.rows - this.#usedRows;
    const count = this.#waiting.findIndex(({ options }) => (free -= rowsPerAnswer(options)) < 0);
    return this.#waiting.splice(0, count < 0 ? this.#waiting.length : count);
  }

  async #embed(job: Job): Promise<AdmittedJob | ImageError> {
    try {
      const row = await embedPrompt(this.#language, job);
      const { maxLength } = this.#cache;
      const room = this.#language.room(row.length, maxLength);
      const needed = leastRoom(job.options);
      return room < needed ? promptTooLong(row.length, needed, maxLength) : { job, row, room };
    } catch (error) {
      return internalError(error);
    }
  }

  /** Reads prompts together. Where that fails each is tried alone, so that one cannot take the others along. */
  async #read(admitted: readonly AdmittedJob[]): Promise<void> {
    const [alone, ...others] = admitted;
    if (alone === undefined) return;
    const first = this.#usedRows;
    let prefilled: Prefilled;
    try {
      prefilled = await this.#language.prefill(
        this.#cache,
        first,
        admitted.map(({ row }) => row),
      );
    } catch (error) {
      if (this.#active.length === 0) this.#renewCache();
      if (others.length === 0) this.#finish(alone.job, internalError(error));
      else for (const one of admitted) await this.#read([one]);
      return;
    }
    this.#start(first, admitted, prefilled);
  }

  /** Gives prompts that were read into the rows from `first` on the rows of their answers, and lets them choose their first tokens. */
  #start(first: number, admitted: readonly AdmittedJob[], { logits, lengths }: Prefilled): void {
    const vocabSize = logits.length / admitted.length;
    const started: AnswerLogits[] = [];
    for (const [index, { job, room }] of admitted.entries()) {
      const promptLength = required(lengths[index], 'the length of a prompt that was read');
      let chooser: Chooser;
      try {
        // Only sampling draws, and its jobs have a key.
        const { key = [] } = job;
        chooser = newChooser(job.options, { length: promptLength, room, key, startDecoding: this.#startDecoding });
      } catch (error) {
        this.#finish(job, internalError(error));
        continue;
      }
      // Where one could not start, those behind it move up.
      const row = first + started.length;
      if (row !== first + index) this.#cache.copyRow(first + index, row, promptLength);
      const ofPrompt = logits.subarray(index * vocabSize, (index + 1) * vocabSize); // [1, V]
      started.push({ answer: { job, chooser, promptLength }, logits: ofPrompt });
    }
    const answers = started.map(({ answer }) => answer);
    this.#spreadPrompts(first, answers);
    this.#active.push(...answers);
    this.#choose(first, started);
  }

  /** Each prompt was read into one row: puts it into all rows of its answer. Last ones first, so that none is overwritten before it is copied. */
  #spreadPrompts(first: number, answers: readonly ActiveAnswer[]): void {
    let end = first + answers.reduce((sum, { chooser }) => sum + chooser.rows, 0);
    for (const [index, { chooser, promptLength }] of [...answers.entries()].toReversed()) {
      const start = end - chooser.rows;
      for (let row = end - 1; row >= start; row--) {
        if (row !== first + index) this.#cache.copyRow(first + index, row, promptLength);
      }
      end = start;
    }
  }

  async #step(): Promise<void> {
    const answers = [...this.#active];
    let lengths: (readonly number[])[];
    let logits: Float32Array; // [B, V]
    try {
      lengths = answers.map(({ chooser }) => lengthsBeforeStep(chooser));
      logits = await this.#language.step(
        this.#cache,
        answers.flatMap(({ chooser }) => chooser.nextTokenIds),
        lengths.flat(),
      );
    } catch (error) {
      this.#giveUpRows(internalError(error));
      return;
    }
    const vocabSize = logits.length / this.#usedRows;
    let row = 0;
    const stepped = answers.map((answer, index): AnswerLogits => {
      const { chooser } = answer;
      chooser.length = Math.max(...required(lengths[index], 'the lengths of the rows of an answer')) + 1;
      const from = row * vocabSize;
      row += chooser.rows;
      return { answer, logits: logits.subarray(from, row * vocabSize) };
    });
    this.#choose(0, stepped);
  }

  /** Rows of a failed step are in an unknown state, so all of them end; prompts that wait get a new cache. */
  #giveUpRows(error: ImageError): void {
    for (const { job } of this.#active.splice(0)) this.#finish(job, error);
    this.#renewCache();
  }

  /** Where no row holds anything, a cache that something went wrong with need not be kept. */
  #renewCache(): void {
    const { rows, maxLength } = this.#cache;
    this.#cache = this.#language.newCache(rows, maxLength);
  }

  /** Lets answers choose their next tokens and moves the rows of their beams, then takes out those that end. */
  #choose(firstRow: number, answers: readonly AnswerLogits[]): void {
    const ended: { answer: ActiveAnswer; result: GeneratedRow | ImageError }[] = [];
    let row = firstRow;
    for (const { answer, logits } of answers) {
      const result = this.#goOn(answer, logits, row);
      if (result !== undefined) ended.push({ answer, result });
      row += answer.chooser.rows;
    }
    for (const { answer } of ended.toReversed()) this.#remove(answer);
    for (const { answer, result } of ended) this.#finish(answer.job, result);
  }

  /**
   * Lets one answer choose its next tokens.
   *
   * @param row the first of its rows
   * @returns its result where it ends
   */
  #goOn(answer: ActiveAnswer, logits: Float32Array, row: number): GeneratedRow | ImageError | undefined {
    const { chooser, promptLength } = answer;
    try {
      const outcome = chooser.advance(logits);
      if (outcome === 'not-a-number') return notANumber(chooser.length - promptLength);
      if (outcome !== undefined) return resultOf(chooser, outcome);
      for (const { from, to, shared } of chooser.copies)
        this.#cache.copyPositions(row + from, row + to, promptLength + shared, chooser.length);
      return undefined;
    } catch (error) {
      return internalError(error);
    }
  }

  /** Closes the gap that an answer leaves: with the last one where that takes as many rows, else with all that come behind. */
  #remove(answer: ActiveAnswer): void {
    const index = this.#active.indexOf(answer);
    const start = this.#active.slice(0, index).reduce((sum, { chooser }) => sum + chooser.rows, 0);
    const last = this.#active.at(-1);
    const moved: ActiveAnswer[] = [];
    let from = start + answer.chooser.rows;
    if (last !== undefined && last !== answer && last.chooser.rows === answer.chooser.rows) {
      from = this.#usedRows - last.chooser.rows;
      this.#active.pop();
      this.#active[index] = last;
      moved.push(last);
    } else {
      this.#active.splice(index, 1);
      moved.push(...this.#active.slice(index));
    }
    let to = start;
    for (const { chooser } of moved) {
      for (let row = 0; row < chooser.rows; row++) this.#cache.copyRow(from++, to++, chooser.length);
    }
  }
}

function resultOf({ written }: Chooser, finishReason: FinishReason): GeneratedRow {
  const { tokenIds, ...facts } = written;
  return { tokenIds: [...tokenIds], finishReason, ...facts };
}

/** Positions of each row of an answer. */
function lengthsBeforeStep({ rows, length, keptLengths }: Chooser): readonly number[] {
  return keptLengths ?? Array.from({ length: rows }, () => length);
}

function refuseToDecode(): never {
  throw new RangeError('a batch whose answers end with stop texts needs a tokenizer');
}

function promptTooLong(length: number, needed: number, limit: number): ImageError {
  const answer = needed === 1 ? 'an answer' : `an answer of ${needed} tokens`;
  return new ImageError(
    'prompt-too-long',
    `image and prompt take ${length} positions, which leaves no room for ${answer} in the ${limit} that the model reads. Shorten the prompt.`,
  );
}
