/**
 * Every image with every text: image files in, the records of each image out, in the order of the files, as `run.ts` does it for answers.
 */
import { performance } from 'node:perf_hooks';
import type { MatchingModel, MatchScores } from '../engine/matching/model.ts';
import type { ImageFile } from '../images/image-file.ts';
import type { FailedRecord, MatchDetails, MatchRecord } from '../output/record.ts';
import type { ImageDeclaration } from '../pack/model-declaration.ts';
import { required } from '../required.ts';
import { boundedDecoder, type DecodedImage, type PixelSource } from './bounded-decoder.ts';
import { orderedMap } from './ordered-map.ts';
import { imageFailure, modelName, noted, roundedSeconds } from './records.ts';
import { REORDER_WINDOW, type ImageOutcome } from './run.ts';
import { Slots } from './slots.ts';

export type MatchSettings = {
  /** In the order of the model's. */
  texts: readonly string[];
  details: boolean;
  maxPixels: number;
  /** Computing time that decoding one image may take. */
  decodeSeconds: number;
  /** Images decoded at one time. */
  decoders: number;
};

export type MatchRun = {
  files: readonly ImageFile[];
  image: ImageDeclaration;
  /** Loaded with the texts of the settings. */
  model: Promise<MatchingModel>;
  settings: MatchSettings;
  pixels: PixelSource;
  signal: AbortSignal;
};

/** Asks the model about an image that it has a place for. */
export type InModel = <Result>(
  file: ImageFile,
  signal: AbortSignal,
  ask: (model: MatchingModel, image: DecodedImage) => Promise<Result>,
) => Promise<Result>;

/**
 * Scores every image with every text, in order.
 *
 * Stops at once, without waiting for what is under way, when the consumer stops or `signal` is aborted (its reason is thrown). Closing
 * the model is the caller's business.
 *
 * @throws what kept the model from loading or from going on.
 */
export async function* matchImages(run: MatchRun): AsyncGenerator<ImageOutcome, void, void> {
  const { texts, details } = run.settings;
  const inModel = imagesInModel(run);

  async function matchImage([index, file]: [number, ImageFile], signal: AbortSignal): Promise<ImageOutcome> {
    try {
      const records = await inModel(file, signal, async (model, { pixelValues, started, warnings }) => {
        const scores = await model.match(index, pixelValues);
        const seconds = roundedSeconds((performance.now() - started) / 1000);
        const facts = details ? { model: modelName(model.pack), seconds } : undefined;
        return scores.map((score, text) => ({
          ...matchRecord(file.path, required(texts[text], 'the text of a score'), score, facts),
          ...noted(warnings),
        }));
      });
      return { file, records, errors: [] };
    } catch (error) {
      await run.model;
      const imageError = imageFailure(error);
      const { code, message } = imageError;
      const records = texts.map((text): FailedRecord => ({
        schema: 1,
        image: file.path,
        text,
        error: { code, message },
      }));
      return { file, records, errors: [imageError] };
    }
  }

  yield* orderedMap(run.files.entries(), REORDER_WINDOW, matchImage, run.signal);
}

/** Decodes images and holds them until the model has room, as many at a time as the settings and the model say. */
export function imagesInModel(run: MatchRun): InModel {
  const slots = run.model.then((model) => new Slots(model.imagesInFlight));
  const decode = boundedDecoder(run, run.settings, slots);
  return async (file, signal, ask) => {
    const image = await decode(file, signal);
    try {
      signal.throwIfAborted();
      return await ask(await run.model, image);
    } finally {
      image.giveModelSlot();
    }
  };
}

/** The record of one image and one text; `rank` where the best were asked for. */
export function matchRecord(
  image: string,
  text: string,
  { itm, itc }: Pick<MatchScores, 'itm' | 'itc'>,
  details: MatchDetails | undefined,
  rank?: number,
): MatchRecord {
  const ranked = rank === undefined ? {} : { rank };
  return { schema: 1, image, text, ...ranked, itm: shownScore(itm), itc: shownScore(itc), ...details };
}

/** Six digits: as many as float32 arithmetic is good for. */
export function shownScore(score: number): number {
  return Number(score.toPrecision(6));
}
