/**
 * The images that fit each text best by their similarity, which are looked at again by `rank.ts`. A bounded list per text, whatever the order in
 * which the images come: ties go to the image with the smaller number.
 */
import { required } from '../required.ts';

export type Candidate = { image: number; similarity: number };

export class Candidates {
  /** Of each text, best first. */
  readonly #lists: readonly Candidate[][];
  readonly #size: number;
  /** In how many lists an image has a place. */
  readonly #places = new Map<number, number>();

  /** @param size places per text */
  constructor(texts: number, size: number) {
    this.#lists = Array.from({ length: texts }, () => []);
    this.#size = size;
  }

  /**
   * Gives an image its place in the list of each text.
   *
   * @param similarities with each text
   * @returns the images that have no place in any list any more, this one included
   */
  add(image: number, similarities: readonly number[]): number[] {
    this.#places.set(image, this.#lists.length);
    const pushedOut = this.#lists.map((list, text) => {
      insert(list, { image, similarity: required(similarities[text], 'the similarity with a text') });
      return list.length > this.#size ? list.pop() : undefined;
    });
    return pushedOut.flatMap((candidate) => (candidate === undefined ? [] : this.#leave(candidate.image)));
  }

  /** The images that have a place, smallest number first, each with its texts and the similarities with them. */
  byImage(): { image: number; texts: { text: number; similarity: number }[] }[] {
    const texts = new Map<number, { text: number; similarity: number }[]>();
    this.#lists.forEach((list, text) => {
      for (const { image, similarity } of list) {
        const before = texts.get(image) ?? []; // none yet
        texts.set(image, [...before, { text, similarity }]);
      }
    });
    return [...texts].map(([image, ofImage]) => ({ image, texts: ofImage })).toSorted((a, b) => a.image - b.image);
  }

  #leave(image: number): number[] {
    const places = required(this.#places.get(image), 'the places of an image') - 1;
    if (places > 0) {
      this.#places.set(image, places);
      return [];
    }
    this.#places.delete(image);
    return [image];
  }
}

/** Puts a candidate behind those that are better, or as good and earlier. */
function insert(list: Candidate[], candidate: Candidate): void {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = list[middle];
    if (other !== undefined && isBefore(other, candidate)) low = middle + 1;
    else high = middle;
  }
  list.splice(low, 0, candidate);
}

function isBefore(a: Candidate, b: Candidate): boolean {
  return a.similarity > b.similarity || (a.similarity === b.similarity && a.image < b.image);
}
