/**
 * The work of the thread that matches: images are embedded in batches, compared with the features of the texts, which were computed once
 * before, and read together with those texts whose matching scores are wanted.
 *
 * Between two runs of a graph the thread looks at its messages, so that it can be closed in the middle of many texts.
 */
import { PAIRS_PER_RUN } from '../../vision/image-text-pairs.ts';
import type { ImageEmbeds } from '../../vision/image-embeds.ts';
import { similarity, type Matcher, type MatchLogits } from '../../vision/matcher.ts';
import type { VisionEncoder } from '../../vision/vision-encoder.ts';
import { KeptEmbeds } from './kept-embeds.ts';
import type { ForgetImages, Matched, MatchRequest, MatchResult } from './messages.ts';
import { internalError } from '../model-failures.ts';

/** What the loop needs of the graphs. */
export type MatchingGraphs = {
  encoder: Pick<VisionEncoder, 'embedImages'>;
  matcher: Pick<Matcher, 'imageFeatures' | 'matchLogits'>;
};

/** Texts as the matching head reads them, and their features [P]. */
export type MatchedText = { ids: readonly number[]; features: Float32Array };

export class MatchingLoop {
  readonly #graphs: MatchingGraphs;
  readonly #texts: readonly MatchedText[];
  readonly #batchSize: number;
  readonly #kept: KeptEmbeds;
  readonly #send: (matched: Matched) => void;
  readonly #waiting: MatchRequest[] = [];
  #running: Promise<void> | undefined;
  #closed = false;

  /** @param sizes.keptBytes of the embeddings that are kept, at most */
  constructor(
    graphs: MatchingGraphs,
    texts: readonly MatchedText[],
    sizes: { batchSize: number; keptBytes: number },
    send: (matched: Matched) => void,
  ) {
    this.#graphs = graphs;
    this.#texts = texts;
    this.#batchSize = sizes.batchSize;
    this.#kept = new KeptEmbeds(sizes.keptBytes);
    this.#send = send;
  }

  /** Takes a message; work begins when the caller's turn ends. */
  add(message: MatchRequest | ForgetImages): void {
    if ('forget' in message) {
      this.#kept.forget(message.forget);
      return;
    }
    this.#waiting.push(message);
    this.#running ??= this.#run();
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
  #takeBatch(): MatchRequest[] {
    const hasPixels = this.#waiting[0]?.pixelValues !== undefined;
    const other = this.#waiting.findIndex(({ pixelValues }) => (pixelValues !== undefined) !== hasPixels);
    return this.#waiting.splice(0, Math.min(this.#batchSize, other < 0 ? this.#waiting.length : other));
  }

  /** Answers a batch; when it fails as a whole (memory, most likely), its images are tried one by one, so that one cannot take the others along. */
  async #answer(requests: readonly MatchRequest[]): Promise<void> {
    try {
      const results = await this.#match(requests);
      if (this.#closed) return;
      requests.forEach(({ id }, index) => {
        const result = results[index];
        if (result !== undefined) this.#send({ id, result });
      });
    } catch (error) {
      const [request] = requests;
      if (requests.length === 1 && request !== undefined) {
        const { code, message } = internalError(error);
        this.#send({ id: request.id, result: { error: { code, message } } });
      } else {
        for (const single of requests) await this.#answer([single]);
      }
    }
  }

  async #match(requests: readonly MatchRequest[]): Promise<MatchResult[]> {
    const { encoder, matcher } = this.#graphs;
    const pixelValues = requests.flatMap((request) => request.pixelValues ?? []);
    const embeds =
      pixelValues.length > 0
        ? await encoder.embedImages(pixelValues)
        : this.#kept.select(requests.map(({ image }) => image)); // [I, N, Dv]
    const wantsFeatures = requests.some(({ similarities }) => similarities);
    const features = wantsFeatures ? await matcher.imageFeatures(embeds) : []; // [Q, P] each
    const logits = await this.#matchLogits(embeds, requests);
    return requests.map(({ image, similarities, keep }, row) => ({
      similarities: similarities ? this.#similarities(features[row] ?? new Float32Array()) : [],
      logits: logits[row] ?? [],
      kept: keep && this.#kept.keep(image, embeds, row),
    }));
  }

  #similarities(imageFeatures: Float32Array): number[] {
    return this.#texts.map((text) => similarity(imageFeatures, text.features));
  }

  /** The scores of each request's texts; incomplete where the loop was closed meanwhile. */
  async #matchLogits(embeds: ImageEmbeds, requests: readonly MatchRequest[]): Promise<MatchLogits[][]> {
    const pairs = requests.flatMap(({ texts }, row) => texts.map((text) => ({ row, text })));
    const logits: MatchLogits[][] = requests.map(() => []);
    for (let first = 0; first < pairs.length && !this.#closed; first += PAIRS_PER_RUN) {
      const some = pairs.slice(first, first + PAIRS_PER_RUN);
      const scores = await this.#graphs.matcher.matchLogits(
        embeds,
        some.map(({ row }) => row),
        some.map(({ text }) => this.#texts[text]?.ids ?? []),
      );
      some.forEach(({ row }, index) => {
        const score = scores[index];
        if (score !== undefined) logits[row]?.push(score);
      });
      await lookAtMessages();
    }
    return logits;
  }
}

async function lookAtMessages(): Promise<void> {
  await new Promise(setImmediate);
}
