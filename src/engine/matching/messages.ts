/** What the main thread and the thread that matches say to each other. The texts are told once, when it starts. */
import type { Pack } from '../../pack/model-declaration.ts';
import type { Compute } from '../../runtime/compute.ts';
import type { MatchLogits } from '../../vision/matcher.ts';

/** Given to the thread when it starts. */
export type MatchingStart = {
  pack: Pack;
  compute: Compute;
  /** Images embedded together at most. */
  batchSize: number;
  /** Token ids of each text. */
  texts: readonly (readonly number[])[];
};

/** What is wanted of one image. */
export type MatchRequest = {
  /** The image's number, by which its embeddings are kept. */
  image: number;
  /** [3, S, S]; undefined where the embeddings were kept. */
  pixelValues: Float32Array | undefined;
  /** Whether its similarity with every text is wanted. */
  similarities: boolean;
  /** Whether its embeddings are to be kept for a later request. */
  keep: boolean;
  /** The texts whose matching scores are wanted. */
  texts: readonly number[];
};

/** The embeddings of these images are not needed any more. */
export type ForgetImages = { forget: readonly number[] };

export type MatchResult = {
  /** With each text; empty unless asked for. */
  similarities: number[];
  /** Of each of the request's texts. */
  logits: MatchLogits[];
  /** Whether there was room to keep the embeddings. */
  kept: boolean;
};
