/** Starts the thread that matches, and asks it as a `MatchingModel`. One thread holds one copy: these models are large. */
import { ImageError } from '../../errors.ts';
import type { Pack } from '../../pack/model-declaration.ts';
import { required } from '../../required.ts';
import type { Compute } from '../../runtime/compute.ts';
import { Thread } from '../../threads/thread.ts';
import { matchProbability, type MatchLogits } from '../../vision/matcher.ts';
import type { ForgetImages, MatchingStart, MatchRequest, MatchResult } from './messages.ts';
import type { MatchingModel, MatchScores } from './model.ts';

type MatchingThread = Thread<MatchRequest, MatchResult, ForgetImages>;

/**
 * Loads a model that matches. Close it, or its thread keeps the process alive.
 *
 * @param texts token ids of every text it will be asked about
 * @throws PackError when a file of the pack is missing, damaged or of another kind than it should be.
 */
export async function loadMatchingModel(
  pack: Pack,
  texts: readonly (readonly number[])[],
  { compute, batchSize }: { compute: Compute; batchSize: number },
): Promise<MatchingModel> {
  const data: MatchingStart = { pack, compute, batchSize, texts };
  const script = new URL('./worker.js', import.meta.url);
  const thread: MatchingThread = new Thread({ script, name: 'the inference thread', data });
  await thread.ready;
  return new LoadedMatchingModel(pack, texts.length, batchSize, thread);
}

class LoadedMatchingModel implements MatchingModel {
  readonly pack: Pack;
  readonly imagesInFlight: number;
  readonly #textCount: number;
  readonly #thread: MatchingThread;
  #embeddedImages = 0;

  constructor(pack: Pack, textCount: number, batchSize: number, thread: MatchingThread) {
    this.pack = pack;
    this.#textCount = textCount;
    this.#thread = thread;
    // One batch in the model, and one arriving.
    this.imagesInFlight = 2 * batchSize;
  }

  get embeddedImages(): number {
    return this.#embeddedImages;
  }

  async match(image: number, pixelValues: Float32Array): Promise<MatchScores[]> {
    const texts = Array.from({ length: this.#textCount }, (_, text) => text);
    const { similarities, logits } = await this.#request({
      image,
      pixelValues,
      similarities: true,
      keep: false,
      texts,
    });
    return similarities.map((itc, text) => ({
      itc: requireNumber(itc),
      ...scoresOf(required(logits[text], 'the matching scores of a text')),
    }));
  }

  async compare(image: number, pixelValues: Float32Array): Promise<{ similarities: number[]; kept: boolean }> {
    const { similarities, kept } = await this.#request({
      image,
      pixelValues,
      similarities: true,
      keep: true,
      texts: [],
    });
    return { similarities: similarities.map(requireNumber), kept };
  }

  async rescore(
    image: number,
    texts: readonly number[],
    pixelValues: Float32Array | undefined,
  ): Promise<Omit<MatchScores, 'itc'>[]> {
    const { logits } = await this.#request({ image, pixelValues, similarities: false, keep: false, texts });
    return logits.map(scoresOf);
  }

  forget(images: readonly number[]): void {
    if (images.length > 0) this.#thread.tell({ forget: images });
  }

  async close(): Promise<void> {
    await this.#thread.close();
  }

  /** @throws ImageError when the thread could not do it. */
  async #request(request: MatchRequest): Promise<MatchResult> {
    const { pixelValues } = request;
    if (pixelValues !== undefined) this.#embeddedImages += 1;
    return this.#thread.request(request, pixelValues === undefined ? [] : [pixelValues.buffer]);
  }
}

function scoresOf(logits: MatchLogits): Omit<MatchScores, 'itc'> {
  const [, match] = logits;
  return { itm: requireNumber(matchProbability(logits)), itmLogit: requireNumber(match) };
}

/** @throws ImageError for a score that would mean nothing. */
function requireNumber(score: number): number {
  if (Number.isFinite(score)) return score;
  throw new ImageError(
    'not-a-number',
    'the model computed a score that is not a number. Check the pack with "minigpt models verify".',
  );
}
