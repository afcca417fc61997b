/** A model without weights: its scores are what the test tells it, of an image's first pixel and a text's index. It counts what is asked of it. */
import type { MatchingModel, MatchScores } from '../../src/engine/matching/model.ts';
import { ImageError } from '../../src/errors.ts';
import type { Pack } from '../../src/pack/model-declaration.ts';
import { FakeModel } from './fake-model.ts';

/** The scores of an image and a text; an error stands for an image that cannot be scored. */
export type Scores = (image: number, text: number) => MatchScores | ImageError;

export class FakeMatchingModel implements MatchingModel {
  readonly pack: Pack = new FakeModel(1, () => new ImageError('internal', 'unused')).pack;
  readonly imagesInFlight = 3;
  embeddedImages = 0;
  inFlight = 0;
  mostInFlight = 0;
  readonly kept = new Map<number, number>();
  readonly #texts: number;
  readonly #scores: Scores;
  readonly #room: number;

  /** @param room how many images can be kept */
  constructor(texts: number, scores: Scores, room = Infinity) {
    this.#texts = texts;
    this.#scores = scores;
    this.#room = room;
  }

  async match(_image: number, pixelValues: Float32Array): Promise<MatchScores[]> {
    return this.#embedding(pixelValues, (pixel) => this.#all(pixel));
  }

  async compare(image: number, pixelValues: Float32Array): Promise<{ similarities: number[]; kept: boolean }> {
    return this.#embedding(pixelValues, (pixel) => {
      const similarities = this.#all(pixel).map(({ itc }) => itc);
      const kept = this.kept.size < this.#room;
      if (kept) this.kept.set(image, pixel);
      return { similarities, kept };
    });
  }

  async rescore(
    image: number,
    texts: readonly number[],
    pixelValues: Float32Array | undefined,
  ): Promise<MatchScores[]> {
    const score = (pixel: number): MatchScores[] => texts.map((text) => required(this.#scores(pixel, text)));
    if (pixelValues !== undefined) return this.#embedding(pixelValues, score);
    const pixel = this.kept.get(image);
    if (pixel === undefined) throw new RangeError(`image ${image} was not kept`);
    return score(pixel);
  }

  forget(images: readonly number[]): void {
    for (const image of images) this.kept.delete(image);
  }

  async close(): Promise<void> {}

  #all(pixel: number): MatchScores[] {
    return Array.from({ length: this.#texts }, (_, text) => required(this.#scores(pixel, text)));
  }

  async #embedding<Result>(pixelValues: Float32Array, look: (pixel: number) => Result): Promise<Result> {
    this.embeddedImages += 1;
    this.inFlight += 1;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    await Promise.resolve();
    this.inFlight -= 1;
    return look(pixelValues[0] ?? NaN);
  }
}

function required(scores: MatchScores | ImageError): MatchScores {
  if (scores instanceof ImageError) throw scores;
  return scores;
}
