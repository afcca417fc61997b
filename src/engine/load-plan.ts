/**
 * How a model is loaded: with how many threads, in how many copies, and how many images and answers are computed together. What the caller leaves
 * open is chosen from the model and from what there is to do.
 */
import { availableParallelism } from 'node:os';
import { rowsForChoices } from '../language/forced-choices.ts';
import { bytesPerRow } from '../language/kv-cache-size.ts';
import type { ModelDeclaration } from '../pack/model-declaration.ts';
import type { Compute } from '../runtime/compute.ts';
import { rowsPerAnswer, type AnswerOptions, type LoadOptions } from './model.ts';

/** What a caller may leave open. */
export type LoadWishes = {
  /** Threads that compute; as many as there are cores where it is undefined. */
  threads?: number | undefined;
  /** Images encoded together, and answers decoded together. */
  batchSize: number | 'auto';
};

/** What a model that writes is loaded for. */
export type WritingWork = {
  images: number;
  /** Answers about each image. */
  answersPerImage: number;
  decoding: Pick<AnswerOptions, 'maxNewTokens' | 'search'>;
  /** The answers that the model chooses from; it writes them itself where there are none. */
  choices?: readonly string[] | undefined;
};

/** With more rows than this a step takes longer in proportion: measured, a row of a step costs 0.36 ms among 16, 0.25 among 32 and among 48. */
const MOST_AUTO_ROWS = 32;

/** An automatic batch keeps the cache of all rows below this. */
const AUTO_CACHE_BYTES = 2 ** 29;

/** What a prompt is taken to need when the batch is chosen, before it is tokenized. */
const USUAL_PROMPT_TOKENS = 32;

/** Images that are matched together: enough rows for a large image encoder's matrix products, and 11 MB of embeddings. */
const AUTO_MATCHED_IMAGES = 8;

/** Copies of a model may take this many bytes together, as float32 weights. */
const COPIES_BYTES = 2 ** 30;

/** Images that go to one thread in a row, and that it waits for while idle. Fewer per copy are not worth the time to load it. */
const GROUP_SIZE = 8;

/** How much larger weights are in memory than in the pack's files: float32, or as they are and once more in the order the operators want. */
const GROWTH_ON_LOAD = { fp32: 1, fp16: 2, int12: 4 / 1.5, int8: 2, int4: 2 } as const;

/** What a model computes with where nothing is said: every core. */
export function planCompute(threads: number | undefined): Compute {
  return { threads: threads ?? availableParallelism() };
}

/** How a model that writes is loaded. A batch need not have more places than there are answers to fill them. */
export function planWriting(model: ModelDeclaration, work: WritingWork, wishes: LoadWishes): LoadOptions {
  const { images, answersPerImage } = work;
  const { batchSize } = wishes;
  return {
    compute: planCompute(wishes.threads),
    images,
    batchSize:
      batchSize === 'auto'
        ? Math.min(MOST_AUTO_ROWS, answersInCache(model, work), images * answersPerImage)
        : batchSize,
  };
}

/** How a model that matches is loaded. */
export function planMatching(
  images: number,
  { threads, batchSize }: LoadWishes,
): { compute: Compute; batchSize: number } {
  return {
    compute: planCompute(threads),
    batchSize: batchSize === 'auto' ? Math.min(AUTO_MATCHED_IMAGES, images) : batchSize,
  };
}

/** Answers whose rows an automatic batch's cache has room for, at least one. A pack without a language model has no such cache. */
function answersInCache({ language, numImageTokens }: ModelDeclaration, { decoding, choices }: WritingWork): number {
  if (language === undefined) return Infinity;
  const rows = choices === undefined ? rowsPerAnswer(decoding) : rowsForChoices(choices.length);
  const answerTokens = choices === undefined ? decoding.maxNewTokens : mostTokens(choices);
  const rowBytes = bytesPerRow({
    layers: language.numHiddenLayers,
    heads: language.numKeyValueHeads,
    headDim: language.headDim,
    maxLength: numImageTokens + USUAL_PROMPT_TOKENS + answerTokens,
  });
  return Math.max(Math.floor(AUTO_CACHE_BYTES / (rowBytes * rows)), 1);
}

/** No token stands for less than a byte, and the end of an answer has few. */
function mostTokens(choices: readonly string[]): number {
  return Math.max(...choices.map((choice) => Buffer.byteLength(choice))) + 2;
}

/** How threads are divided among copies of a model. */
export type PoolPlan = {
  /** Copies of the model, each in a thread of its own. */
  workers: number;
  /** Threads that share the operators of one copy. */
  threadsPerWorker: number;
  /** Images that a thread gets in a row. */
  groupSize: number;
};

/**
 * Divides threads among copies of a model.
 *
 * A small model is faster as one copy per core, each computing alone, than as one copy whose every operator is shared by the cores: its
 * operators last microseconds, and cores that wait for each other after each of them idle a third of the time (measured with nano on two
 * cores: 112 against 80 images/s). A large model is held once, and its operators are shared. With few images a second copy would cost more than
 * it gives.
 */
export function planPool(model: ModelDeclaration, { compute: { threads }, images, batchSize }: LoadOptions): PoolPlan {
  const storedBytes = model.files
    .filter((file) => file.path.endsWith('.onnx.data'))
    .reduce((sum, file) => sum + file.bytes, 0);
  const loadedBytes = storedBytes * GROWTH_ON_LOAD[model.precision];
  const copies = Math.floor(Math.min(COPIES_BYTES / Math.max(loadedBytes, 1), images / GROUP_SIZE, threads));
  const workers = Math.max(copies, 1);
  return {
    workers,
    threadsPerWorker: Math.max(Math.floor(threads / workers), 1),
    groupSize: Math.min(GROUP_SIZE, batchSize, Math.max(images, 1)),
  };
}
