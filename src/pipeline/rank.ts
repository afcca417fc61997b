/**
 * The images that fit each text best, as LAVIS re-ranks them (`compute_sim_matrix` in its `blip2.py`): every image is embedded once and compared
 * with every text by its features; the best of each text are then read together with it, and the sum of both scores decides.
 *
 * Memory does not grow with the number of images: of each only its numbers with the texts are seen, and only the candidates are remembered.
 * Their embeddings are kept by the model as far as it has room, else a candidate is decoded and embedded a second time.
 */
import type { MatchScores } from '../engine/matching/model.ts';
import type { ImageError } from '../errors.ts';
import type { ImageFile } from '../images/image-file.ts';
import type { ImageWarning } from '../images/rgb-image.ts';
import type { OutputRecord } from '../output/record.ts';
import { required } from '../required.ts';
import { Candidates } from './candidates.ts';
import { imagesInModel, matchRecord, shownScore, type MatchRun } from './match.ts';
import { orderedMap } from './ordered-map.ts';
import { failedRecord, imageFailure, modelName, noted } from './records.ts';
import { REORDER_WINDOW, type ImageOutcome } from './run.ts';

/** Images per text that are looked at again, at least (LAVIS' `k_test`). */
const CANDIDATES = 128;

/** What is known only when every image was looked at: the best of a text, or that an image failed the second time. */
export type LaterOutcome = { later: true; file: ImageFile | undefined; records: OutputRecord[]; errors: ImageError[] };

type Ranked = MatchScores & { image: number };

/**
 * Looks at every image, then yields the `top` best ones of each text in the order of the texts.
 *
 * An outcome without records stands for an image that was compared; failed images have their record at once. Aborting and failing are those
 * of `matchImages`.
 */
export async function* rankImages(run: MatchRun, top: number): AsyncGenerator<ImageOutcome | LaterOutcome, void, void> {
  const { files, settings, signal } = run;
  const { texts, details } = settings;
  const inModel = imagesInModel(run);
  const candidates = new Candidates(texts.length, Math.max(top, CANDIDATES));
  /** Images whose embeddings the model keeps. */
  const kept = new Set<number>();
  /** What is wrong with images that were compared all the same. */
  const warned = new Map<number, readonly ImageWarning[]>();

  async function compare([index, file]: [number, ImageFile], aborted: AbortSignal): Promise<ImageOutcome> {
    try {
      await inModel(file, aborted, async (model, { pixelValues, warnings }) => {
        if (warnings.length > 0) warned.set(index, warnings);
        const comparison = await model.compare(index, pixelValues);
        if (comparison.kept) kept.add(index);
        const left = candidates.add(index, comparison.similarities).filter((image) => kept.delete(image));
        model.forget(left);
      });
      return { file, records: [], errors: [] };
    } catch (error) {
      await run.model;
      return failure(file, error);
    }
  }
  yield* orderedMap(files.entries(), REORDER_WINDOW, compare, signal);

  const best: Ranked[][] = texts.map(() => []);
  type Chosen = ReturnType<Candidates['byImage']>[number];
  async function rescore({ image, texts: chosen }: Chosen, aborted: AbortSignal): Promise<LaterOutcome | undefined> {
    const file = required(files[image], 'the file of a candidate');
    const wanted = chosen.map(({ text }) => text);
    try {
      const scores = kept.has(image)
        ? await (await run.model).rescore(image, wanted, undefined)
        : await inModel(file, aborted, async (model, { pixelValues }) => model.rescore(image, wanted, pixelValues));
      chosen.forEach(({ text, similarity }, index) => {
        const score = required(scores[index], 'the scores of a text');
        required(best[text], 'the best images of a text').push({ image, itc: similarity, ...score });
      });
      return undefined;
    } catch (error) {
      return { later: true, ...failure(file, error) };
    }
  }
  for await (const failed of orderedMap(candidates.byImage(), REORDER_WINDOW, rescore, signal)) {
    if (failed !== undefined) yield failed;
  }

  const { pack } = await run.model;
  for (const [text, ranked] of best.entries()) {
    const records = ranked
      .toSorted((a, b) => rankingScore(b) - rankingScore(a) || a.image - b.image)
      .slice(0, top)
      .map((scores, index) => {
        const facts = details ? { model: modelName(pack), score: shownScore(rankingScore(scores)) } : undefined;
        const { path } = required(files[scores.image], 'the file of a candidate');
        const record = matchRecord(path, required(texts[text], 'the text of a ranking'), scores, facts, index + 1);
        // Most images have no warning.
        return { ...record, ...noted(warned.get(scores.image) ?? []) };
      });
    yield { later: true, file: undefined, records, errors: [] };
  }
}

/** What the best are ordered by. */
function rankingScore({ itc, itmLogit }: MatchScores): number {
  return itc + itmLogit;
}

/** An image that failed took part for none of the texts, so it has one record without a text. */
function failure(file: ImageFile, error: unknown): ImageOutcome {
  const imageError = imageFailure(error);
  return { file, records: [failedRecord(file.path, {}, imageError)], errors: [imageError] };
}
