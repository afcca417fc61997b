/** A loaded model that matches images with texts: what the pipeline asks, and all it knows of such models. Its texts are those it was loaded with. */
import type { Pack } from '../../pack/model-declaration.ts';

/** How a text fits an image. */
export type MatchScores = {
  /** Similarity of the separate features (ITC), from -1 to 1. */
  itc: number;
  /** Probability by the head that reads both together (ITM). */
  itm: number;
  /** That head's score of a match, before softmax. */
  itmLogit: number;
};

export interface MatchingModel {
  readonly pack: Pack;
  /** How many images the caller should keep in flight so that every batch is full. */
  readonly imagesInFlight: number;
  /** How many times an image was embedded so far. */
  readonly embeddedImages: number;

  /**
   * Both scores of one image with every text.
   *
   * @param image its number; no two images have the same
   * @param pixelValues [3, S, S], given away: its buffer moves to the inference thread
   * @throws ImageError (not-a-number, internal)
   */
  match(image: number, pixelValues: Float32Array): Promise<MatchScores[]>;

  /**
   * The similarity of one image with every text alone, which is cheap. The image's embeddings are kept for `rescore` where there is room.
   *
   * @throws ImageError (not-a-number, internal)
   */
  compare(image: number, pixelValues: Float32Array): Promise<{ similarities: readonly number[]; kept: boolean }>;

  /**
   * The matching head's scores of an image and some texts.
   *
   * @param texts indices of the texts
   * @param pixelValues undefined where the embeddings were kept
   * @throws ImageError (not-a-number, internal)
   */
  rescore(
    image: number,
    texts: readonly number[],
    pixelValues: Float32Array | undefined,
  ): Promise<Omit<MatchScores, 'itc'>[]>;

  /** Tells that the kept embeddings of images are not needed any more. */
  forget(images: readonly number[]): void;

  /** Frees every native handle and ends the inference thread. What is still open is rejected. */
  close(): Promise<void>;
}
