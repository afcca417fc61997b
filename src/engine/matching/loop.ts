/**
 * The work of the thread that matches: images are embedded in batches, compared with the features of the texts, which were computed once
 * before, and read together with those texts whose matching scores are wanted.
 *
 * Every request is answered or rejected, whatever fails.
 *
 * Between two runs of a graph the thread looks at its messages, so that it can be closed in the middle of many texts.
 */
import { required } from '../../required.ts';
import type { ImageEmbeds } from '../../vision/image-embeds.ts';
import { PAIRS_PER_RUN } from '../../vision/image-text-pairs.ts';
import { similarity, type Matcher, type MatchLogits } from '../../vision/matcher.ts';
import type { VisionEncoder } from '../../vision/vision-encoder.ts';
import { internalError } from '../model-failures.ts';
import { KeptEmbeds } from './kept-embeds.ts';
import type { MatchRequest, MatchResult } from './messages.ts';

/** What the loop needs of the graphs. */
export type MatchingGraphs = {
  encoder: Pick<VisionEncoder, 'embedImages'>;
  matcher: Pick<Matcher, 'imageFeatures' | 'matchLogits'>;
};

/** Texts as the matching head reads them, and their features [P]. */
export type MatchedText = { ids: readonly number[]; features: Float32Array };

/** A request, and who waits for its result. */
type OpenRequest = MatchRequest & { resolve: (result: MatchResult) => void; reject: (error: Error) => void };

export class MatchingLoop {
  readonly #graphs: MatchingGraphs;
  readonly #texts: readonly MatchedText[];
  readonly #batchSize: number;
  readonly #kept: KeptEmbeds;
  readonly #waiting: OpenRequest[] = [];
  #running: Promise<void> | undefined;
  #closed = false;

  /** @param sizes.keptBytes of the embeddings that are kept, at most */
  constructor(graphs: MatchingGraphs, texts: readonly MatchedText[], sizes: { batchSize: number; keptBytes: number }) {
    this.#graphs = graphs;
    this.#texts = texts;
    this.#batchSize = sizes.batchSize;
    this.#kept = new KeptEmbeds(sizes.keptBytes);
  }

  /**
   * Does what is wanted of an image; work begins when the caller's turn ends.
   *
   * @returns never settled where the loop is closed before.
   * @throws ImageError (internal) when the model cannot be run on it.
   */
  async answer(request: MatchRequest): Promise<MatchResult> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...request, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Drops the embeddings that were kept of these images. */
  forget(images: readonly number[]): void {
    this.#kept.forget(images);
  }

  /** Stops after the run of a graph that is under way; what is not answered by then is dropped. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    await lookAtMessages();
    while (!this.#closed && this.#waiting.length > 0) {
      await this.#answer(this.#takeBatch());
      await lookAtMessages();
    }
    this.#running = undefined;
  }

  /** The next requests, all with pixels or all without. */
  #takeBatch(): OpenRequest[] {
    const hasPixels = this.#waiting[0]?.pixelValues !== undefined;
    const other = this.#waiting.findIndex(({ pixelValues }) => (pixelValues !== undefined) !== hasPixels);
    return this.#waiting.splice(0, Math.min(this.#batchSize, other < 0 ? this.#waiting.length : other));
  }

  /** Answers a batch; when it fails as a whole (memory, most likely), its images are tried one by one, so that one cannot take the others along. */
  async #answer(requests: readonly OpenRequest[]): Promise<void> {
    let results: MatchResult[];
    try {
      results = await this.#match(requests);
    } catch (error) {
      if (requests.length > 1) for (const single of requests) await this.#answer([single]);
      else for (const { reject } of requests) reject(internalError(error));
      return;
    }
    // Incomplete, then.
    if (this.#closed) return;
    for (const [index, { resolve }] of requests.entries()) resolve(required(results[index], 'the result of a request'));
  }

  async #match(requests: readonly OpenRequest[]): Promise<MatchResult[]> {
    const embeds = await this.#embed(requests); // [I, N, Dv]
    const wantsFeatures = requests.some(({ similarities }) => similarities);
    const features = wantsFeatures ? await this.#graphs.matcher.imageFeatures(embeds) : []; // [Q, P] each
    const logits = await this.#matchLogits(embeds, requests);
    return requests.map(({ image, similarities, keep }, row) => ({
      similarities: similarities ? this.#similarities(required(features[row], 'the features of an image')) : [],
      logits: required(logits[row], 'the matching scores of an image'),
      kept: keep && this.#kept.keep(image, embeds, row),
    }));
  }

  /** All of them have pixels, or none has. */
  async #embed(requests: readonly MatchRequest[]): Promise<ImageEmbeds> {
    const pixelValues = requests.flatMap((request) => (request.pixelValues === undefined ? [] : [request.pixelValues]));
    return pixelValues.length > 0
      ? this.#graphs.encoder.embedImages(pixelValues)
      : this.#kept.select(requests.map(({ image }) => image));
  }

  #similarities(imageFeatures: Float32Array): number[] {
    return this.#texts.map((text) => similarity(imageFeatures, text.features));
  }

  /** The scores of each request's texts; incomplete where the loop was closed meanwhile. */
  async #matchLogits(embeds: ImageEmbeds, requests: readonly MatchRequest[]): Promise<MatchLogits[][]> {
    const pairs = requests.flatMap(({ texts }, row) =>
      texts.map((text) => ({ row, text: required(this.#texts[text], 'a text that is matched') })),
    );
    const logits: MatchLogits[][] = requests.map(() => []);
    for (let first = 0; first < pairs.length && !this.#closed; first += PAIRS_PER_RUN) {
      const some = pairs.slice(first, first + PAIRS_PER_RUN);
      const scores = await this.#graphs.matcher.matchLogits(
        embeds,
        some.map(({ row }) => row),
        some.map(({ text }) => text.ids),
      );
      for (const [index, { row }] of some.entries()) {
        const ofRow = required(logits[row], 'the matching scores of an image');
        ofRow.push(required(scores[index], 'the matching score of a pair'));
      }
      await lookAtMessages();
    }
    return logits;
  }
}

async function lookAtMessages(): Promise<void> {
  await new Promise(setImmediate);
}
