/**
 * Continuous batching: answers about different images and prompts are written together, and one that ends gives its place to the next prompt at
 * once. An answer takes one row of the cache, or as many neighbouring rows as it has beams.
 *
 * A row's numbers depend on nothing but its own prompt and history: positions, cache length and stopping are its own, and a step over other
 * rows computes each of them apart. So an answer is the same alone, in any batch and in any order.
 */
import { ImageError } from '../../errors.ts';
import type { Chooser, FinishReason, JudgedChoices } from '../../language/chooser.ts';
import type { LanguageModel, RowCache, RowEmbeds } from '../../language/language-model.ts';
import type { RowDecoder } from '../../language/stop-texts.ts';
import { newChooser } from '../choosers.ts';
import { notANumber } from '../model-failures.ts';
import { leastRoom, rowsPerAnswer, type GenerationOptions } from '../model.ts';

/** A prompt for one image, and who waits for its answer. */
export type Job = {
  /** [Q, d]; shared by all prompts of an image. */
  imageTokens: Float32Array;
  /** Token ids of each text segment; null stands for the image tokens. */
  segments: readonly (readonly number[] | null)[];
  options: GenerationOptions;
  /** Stands for image and prompt in the seed of sampling (`samplingKey`); only sampling needs it. */
  key?: readonly number[];
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

/** A prompt that fits, with the tokens that it leaves room for. */
type AdmittedJob = { job: Job; row: RowEmbeds; room: number };

export class ContinuousBatch {
  readonly #language: LanguageModel;
  readonly #cache: RowCache;
  readonly #startDecoding: () => RowDecoder;
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
    return this.#active.length === 0 && this.#waiting.length === 0;
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
    this.#waiting.push(job);
  }

  /** Fills free rows from the waiting prompts, then writes one token in every row. */
  async advance(): Promise<void> {
    if (this.#shouldFill()) await this.#fill();
    if (this.#active.length > 0) await this.#step();
  }

  /** Gives up all answers and prompts. */
  rejectAll(error: ImageError): void {
    for (const { job } of this.#active.splice(0)) job.resolve(error);
    for (const job of this.#waiting.splice(0)) job.resolve(error);
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
      const row = await this.#embed(job);
      const { maxLength } = this.#cache;
      const room = this.#language.room(row.length, maxLength);
      const needed = leastRoom(job.options);
      if (room < needed) job.resolve(promptTooLong(row.length, needed, maxLength));
      else admitted.push({ job, row, room });
    }
    if (admitted.length === 0) return;
    const first = this.#usedRows;
    const rows = admitted.map(({ row }) => row);
    const { logits, lengths } = await this.#language.prefill(this.#cache, first, rows); // [B, V]
    this.#spreadPrompts(first, admitted, lengths);
    const started = admitted.map(({ job, room }, index) => {
      const promptLength = lengths[index] ?? 0;
      const { key = [] } = job;
      const start = { length: promptLength, room, key, startDecoding: this.#startDecoding };
      return { job, chooser: newChooser(job.options, start), promptLength };
    });
    this.#active.push(...started);
    this.#choose(started, logits, () => 1);
  }

  /** Takes as many waiting prompts, in their order, as there are rows for. */
  #takeFitting(): Job[] {
    let free = this.#cache.rows - this.#usedRows;
    const count = this.#waiting.findIndex(({ options }) => (free -= rowsPerAnswer(options)) < 0);
    return this.#waiting.splice(0, count < 0 ? this.#waiting.length : count);
  }

  /** Each prompt was read into one row: puts it into all rows of its answer. Last ones first, so that none is overwritten before it is copied. */
  #spreadPrompts(first: number, admitted: readonly AdmittedJob[], lengths: readonly number[]): void {
    let end = first + admitted.reduce((sum, { job }) => sum + rowsPerAnswer(job.options), 0);
    for (const [index, { job }] of [...admitted.entries()].toReversed()) {
      const start = end - rowsPerAnswer(job.options);
      for (let row = end - 1; row >= start; row--) {
        if (row !== first + index) this.#cache.copyRow(first + index, row, lengths[index] ?? 0);
      }
      end = start;
    }
  }

  async #embed(job: Job): Promise<RowEmbeds> {
    const { hiddenSize } = this.#language.declaration;
    const parts: Float32Array[] = [];
    for (const segment of job.segments) {
      if (segment === null) parts.push(job.imageTokens);
      else if (segment.length > 0) parts.push(await this.#language.embedTokens(segment));
    }
    const embeds = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0)); // [T, d]
    let filled = 0;
    for (const part of parts) {
      embeds.set(part, filled);
      filled += part.length;
    }
    return { embeds, length: embeds.length / hiddenSize };
  }

  async #step(): Promise<void> {
    const answers = [...this.#active];
    const lengths = answers.map(({ chooser }) => lengthsBeforeStep(chooser));
    const logits = await this.#language.step(
      this.#cache,
      answers.flatMap(({ chooser }) => chooser.nextTokenIds),
      lengths.flat(),
    ); // [B, V]
    for (const [index, { chooser }] of answers.entries()) chooser.length = Math.max(...(lengths[index] ?? [])) + 1;
    this.#choose(answers, logits, ({ rows }) => rows);
  }

  /** Lets answers choose their next tokens and moves the rows of their beams, then takes out those that end. */
  #choose(answers: readonly ActiveAnswer[], logits: Float32Array, rowsOf: (chooser: Chooser) => number): void {
    const vocabSize = logits.length / answers.reduce((sum, { chooser }) => sum + rowsOf(chooser), 0);
    let firstRow = this.#usedRows - answers.reduce((sum, { chooser }) => sum + chooser.rows, 0);
    let read = 0;
    const ended: ActiveAnswer[] = [];
    for (const answer of answers) {
      const { job, chooser, promptLength } = answer;
      const count = rowsOf(chooser) * vocabSize;
      const outcome = chooser.advance(logits.subarray(read, read + count));
      if (outcome === undefined) {
        for (const { from, to, shared } of chooser.copies)
          this.#cache.copyPositions(firstRow + from, firstRow + to, promptLength + shared, chooser.length);
      } else {
        ended.push(answer);
        job.resolve(outcome === 'not-a-number' ? notANumber(chooser.length - promptLength) : result(chooser, outcome));
      }
      read += count;
      firstRow += chooser.rows;
    }
    for (const answer of ended.toReversed()) this.#remove(answer);
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

function result({ written }: Chooser, finishReason: FinishReason): GeneratedRow {
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
