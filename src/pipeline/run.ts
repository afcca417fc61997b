/**
 * The stream of a run: image files in, the records of each image out, in the order of the files.
 *
 *     file -> (a decoder's slot) pixel values -> (a slot in the model) answers -> records
 *
 * Whatever goes wrong with one image becomes the records of that image.
 */
import { performance } from 'node:perf_hooks';
import type { Answer, Model } from '../engine/model.ts';
import { ImageError } from '../errors.ts';
import type { ImageFile } from '../images/image-file.ts';
import type { OutputRecord } from '../output/record.ts';
import type { ImageDeclaration } from '../pack/model-declaration.ts';
import { boundedDecoder, type DecodedImage, type PixelSource } from './bounded-decoder.ts';
import { orderedMap } from './ordered-map.ts';
import {
  answeredRecord,
  detailsOf,
  failedRecord,
  failedRecords,
  imageFailure,
  noted,
  requestsOf,
  textOf,
} from './records.ts';
import type { Settings } from './settings.ts';
import { Slots } from './slots.ts';

/**
 * Images begun and not yet handed out. Finished records are small, so this may be far more than what the model holds at one time: the model
 * then goes on for a while behind one slow image.
 */
export const REORDER_WINDOW = 4096;

export type Run = {
  files: readonly ImageFile[];
  /** What the model's input looks like: known before the model is loaded, so decoding need not wait for it. */
  image: ImageDeclaration;
  model: Promise<Model>;
  settings: Settings;
  pixels: PixelSource;
  signal: AbortSignal;
};

/** What became of one image: one record, or one per question. */
export type ImageOutcome = {
  file: ImageFile;
  records: OutputRecord[];
  /** The error behind each failure, without repetition. */
  errors: ImageError[];
};

/**
 * Answers every image, in order.
 *
 * Stops at once, without waiting for what is under way, when the consumer stops or `signal` is aborted (its reason is thrown). Closing
 * the model is the caller's business.
 *
 * @throws what kept the model from loading or from going on.
 */
export async function* answerImages(run: Run): AsyncGenerator<ImageOutcome, void, void> {
  const { settings } = run;
  const loaded = run.model.then((model) => ({
    model,
    requests: requestsOf(settings.task, model),
    slots: new Slots(model.imagesInFlight),
  }));
  // Each image that waits for the model throws its failure; this is for the case that none does.
  loaded.catch(() => undefined);

  const decode = boundedDecoder(
    run,
    settings,
    loaded.then(({ slots }) => slots),
  );

  async function answer(file: ImageFile, image: DecodedImage, signal: AbortSignal): Promise<ImageOutcome> {
    const { model, requests } = await loaded;
    const { decoding, details, scores } = settings;
    const prompts = requests.map(({ prompt }) => prompt);
    let results: (Answer | ImageError)[];
    try {
      signal.throwIfAborted();
      results = await model.answer(image.pixelValues, prompts, { ...decoding, score: details });
    } finally {
      image.giveModelSlot();
    }
    const seconds = (performance.now() - image.started) / 1000;
    const errors: ImageError[] = [];
    const records = requests.map(({ asked, prompt }, index) => {
      const result = results[index] ?? new ImageError('internal', 'the model gave no answer.');
      if (result instanceof ImageError) {
        errors.push(result);
        return failedRecord(file.path, asked, result);
      }
      const facts = details ? detailsOf(model, prompt, result, seconds) : undefined;
      const text = textOf(settings.task, result);
      const record = answeredRecord(file.path, asked, text, facts, scores ? result.scores : undefined);
      return { ...record, ...noted(image.warnings) };
    });
    return { file, records, errors };
  }

  async function answerImage(file: ImageFile, signal: AbortSignal): Promise<ImageOutcome> {
    try {
      return await answer(file, await decode(file, signal), signal);
    } catch (error) {
      await loaded;
      const imageError = imageFailure(error);
      return { file, records: failedRecords(file.path, settings.task, imageError), errors: [imageError] };
    }
  }

  yield* orderedMap(run.files, REORDER_WINDOW, answerImage, run.signal);
}
