/**
 * Continuous batching: rows of different images and prompts are decoded together, and a row that ends gives its place to the next prompt at once.
 *
 * A row's numbers depend on nothing but its own prompt: positions, cache length and stopping are its own, and a step over other rows
 * computes each of them apart. So an answer is the same alone, in any batch and in any order.
 */
import { ImageError } from '../errors.ts';
import { GenerationState, type FinishReason } from '../language/generation-state.ts';
import type { LanguageModel, RowCache, RowEmbeds } from '../language/language-model.ts';
import { minNewTokens, noRepeatNgram, repetitionPenalty, type LogitFilter } from '../language/logit-filters.ts';
import { endsWithSequence } from '../language/stop-sequences.ts';
import type { GenerationOptions } from './model.ts';

/** A prompt for one image, and who waits for its answer. */
export type Job = {
  /** [Q, d]; shared by all prompts of an image. */
  imageTokens: Float32Array;
  /** Token ids of each text segment; null stands for the image tokens. */
  segments: readonly (readonly number[] | null)[];
  options: GenerationOptions;
  resolve: (result: GeneratedRow | ImageError) => void;
};

export type GeneratedRow = { tokenIds: number[]; finishReason: FinishReason; score: number };

type ActiveRow = { job: Job; state: GenerationState };

export class ContinuousBatch {
  readonly #language: LanguageModel;
  readonly #cache: RowCache;
  readonly #waiting: Job[] = [];
  readonly #active: ActiveRow[] = [];

  /** @param maxLength the greatest `positionsNeeded` of all prompts that will be added */
  constructor(language: LanguageModel, rows: number, maxLength: number) {
    this.#language = language;
    this.#cache = language.newCache(rows, maxLength);
  }

  get isIdle(): boolean {
    return this.#active.length === 0 && this.#waiting.length === 0;
  }

  /** Prompts that wait for a row. */
  get waitingCount(): number {
    return this.#waiting.length;
  }

  get activeCount(): number {
    return this.#active.length;
  }

  add(job: Job): void {
    this.#waiting.push(job);
  }

  /** Fills free rows from the waiting prompts, then writes one token in every row. */
  async advance(): Promise<void> {
    if (this.#shouldFill()) await this.#fill();
    if (this.#active.length > 0) await this.#step();
  }

  /** Gives up all rows and prompts. */
  rejectAll(error: ImageError): void {
    for (const { job } of this.#active.splice(0)) job.resolve(error);
    for (const job of this.#waiting.splice(0)) job.resolve(error);
  }

  /** A prompt is read faster together with others, so a single free row waits for company while the other rows are busy. */
  #shouldFill(): boolean {
    const free = this.#cache.rows - this.#active.length;
    const enough = Math.ceil(this.#cache.rows / 4);
    return this.#waiting.length > 0 && free > 0 && (free >= enough || this.#active.length === 0);
  }

  async #fill(): Promise<void> {
    const free = this.#cache.rows - this.#active.length;
    const jobs = this.#waiting.splice(0, free);
    const admitted: { job: Job; row: RowEmbeds; room: number }[] = [];
    for (const job of jobs) {
      const row = await this.#embed(job);
      const { maxLength } = this.#cache;
      const room = this.#language.room(row.length, maxLength);
      if (room < 1) job.resolve(promptTooLong(row.length, maxLength));
      else admitted.push({ job, row, room });
    }
    if (admitted.length === 0) return;
    const first = this.#active.length;
    const rows = admitted.map(({ row }) => row);
    const { logits, lengths } = await this.#language.prefill(this.#cache, first, rows);
    admitted.forEach(({ job, room }, index) => {
      this.#active.push({ job, state: newState(job, lengths[index] ?? 0, room) });
    });
    this.#choose(logits, first);
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
    const rows = this.#active;
    const logits = await this.#language.step(
      this.#cache,
      rows.map(({ state }) => state.lastTokenId),
      rows.map(({ state }) => state.length),
    );
    for (const { state } of rows) state.length++;
    this.#choose(logits, 0);
  }

  /** Lets the rows from `first` on choose their next token, and takes out those that end. */
  #choose(logits: Float32Array, first: number): void {
    const rows = this.#active.slice(first);
    const vocabSize = logits.length / rows.length;
    const ended: number[] = [];
    rows.forEach(({ job, state }, index) => {
      const outcome = state.advance(logits.subarray(index * vocabSize, (index + 1) * vocabSize));
      if (outcome === undefined) return;
      ended.push(first + index);
      job.resolve(
        outcome === 'not-a-number'
          ? notANumber(state.tokenIds.length)
          : { tokenIds: state.tokenIds, finishReason: outcome, score: state.score },
      );
    });
    for (const row of ended.toReversed()) this.#removeRow(row);
  }

  /** The last active row moves into the gap, so that active rows stay the first ones of the cache. */
  #removeRow(row: number): void {
    const lastIndex = this.#active.length - 1;
    const last = this.#active.pop();
    if (last === undefined || row === lastIndex) return;
    this.#active[row] = last;
    this.#cache.copyRow(lastIndex, row, last.state.length);
  }
}

/** @param length positions of the row in the cache @param room tokens that it may write */
function newState({ options }: Job, length: number, room: number): GenerationState {
  const { maxNewTokens, eosTokenIds, stopSequences, score } = options;
  return new GenerationState(length, {
    maxNewTokens: Math.min(maxNewTokens, room),
    eosTokenIds,
    stopRules: stopSequences.length > 0 ? [endsWithSequence(stopSequences)] : [],
    filters: filtersOf(options),
    score,
  });
}

/** In the order of transformers, which matters where one filter reads what another wrote. */
function filtersOf(options: GenerationOptions): LogitFilter[] {
  const { minNewTokens: least, repetitionPenalty: penalty, noRepeatNgram: ngram, eosTokenIds, stopSequences } = options;
  const filters: LogitFilter[] = [];
  if (penalty !== 1) filters.push(repetitionPenalty(penalty));
  if (ngram > 0) filters.push(noRepeatNgram(ngram));
  if (least > 0) filters.push(minNewTokens(least, eosTokenIds, stopSequences));
  return filters;
}

function promptTooLong(length: number, room: number): ImageError {
  return new ImageError(
    'prompt-too-long',
    `image and prompt take ${length} positions, which leaves no room for an answer in the ${room} that the model reads. Shorten the prompt.`,
  );
}

function notANumber(tokens: number): ImageError {
  return new ImageError(
    'not-a-number',
    `the model computed a value that is not a number after ${tokens} tokens, so its text cannot be trusted. Check the pack with "minigpt models verify".`,
  );
}
