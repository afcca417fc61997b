/**
 * Continuous batching: rows of different images and prompts are decoded together, and a row that ends gives its place to the next prompt at once.
 *
 * A row's numbers depend on nothing but its own prompt: positions, cache length and stopping are its own, and a step over other rows
 * computes each of them apart. So an answer is the same alone, in any batch and in any order.
 */
import { ImageError } from '../errors.ts';
import type { Decoder, RowEmbeds } from '../language/decoder.ts';
import { GenerationState, type FinishReason } from '../language/generation-state.ts';
import { KvCache } from '../language/kv-cache.ts';
import { minNewTokens } from '../language/logit-filters.ts';
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

/** What the batch needs of a language model; `Decoder` is one. */
export type BatchDecoder = Pick<Decoder, 'declaration' | 'embedTokens' | 'prefill' | 'step'>;

export class ContinuousBatch {
  readonly #decoder: BatchDecoder;
  readonly #cache: KvCache;
  readonly #waiting: Job[] = [];
  readonly #active: ActiveRow[] = [];

  /** @param maxLength positions a row may take: the longest prompt and its answer, at most the model's context. */
  constructor(decoder: BatchDecoder, rows: number, maxLength: number) {
    const { numHiddenLayers, numAttentionHeads, headDim } = decoder.declaration;
    this.#decoder = decoder;
    this.#cache = new KvCache({ rows, layers: numHiddenLayers, heads: numAttentionHeads, maxLength, headDim });
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
    const free = this.#cache.shape.rows - this.#active.length;
    const enough = Math.ceil(this.#cache.shape.rows / 4);
    return this.#waiting.length > 0 && free > 0 && (free >= enough || this.#active.length === 0);
  }

  async #fill(): Promise<void> {
    const free = this.#cache.shape.rows - this.#active.length;
    const jobs = this.#waiting.splice(0, free);
    const admitted: { job: Job; row: RowEmbeds }[] = [];
    for (const job of jobs) {
      const row = await this.#embed(job);
      const room = this.#cache.shape.maxLength - row.length;
      if (room < 1) job.resolve(promptTooLong(row.length, this.#cache.shape.maxLength));
      else admitted.push({ job, row });
    }
    if (admitted.length === 0) return;
    const first = this.#active.length;
    const logits = await this.#decoder.prefill(
      this.#cache,
      first,
      admitted.map(({ row }) => row),
    );
    for (const { job, row } of admitted) this.#active.push({ job, state: this.#newState(job, row.length) });
    this.#choose(logits, first);
  }

  #newState(job: Job, promptLength: number): GenerationState {
    const { eosTokenId } = this.#decoder.declaration;
    const { maxNewTokens, minNewTokens: least, score } = job.options;
    // The last token of a row is chosen without being read back, so it takes no room in the cache.
    const room = this.#cache.shape.maxLength - promptLength + 1;
    return new GenerationState(promptLength, {
      maxNewTokens: Math.min(maxNewTokens, room),
      eosTokenId,
      filters: least > 0 ? [minNewTokens(least, eosTokenId)] : [],
      score,
    });
  }

  async #embed(job: Job): Promise<RowEmbeds> {
    const { hiddenSize } = this.#decoder.declaration;
    const parts: Float32Array[] = [];
    for (const segment of job.segments) {
      if (segment === null) parts.push(job.imageTokens);
      else if (segment.length > 0) parts.push(await this.#decoder.embedTokens(segment));
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
    const logits = await this.#decoder.step(
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
