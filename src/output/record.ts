/**
 * One line of output: what a user gets for one image (caption), or one image and a question (ask) or a text (match).
 *
 * This is public interface, which other programs read. `schema` is raised when a field changes its meaning.
 */
import type { ImageErrorCode } from '../errors.ts';

/** Extra facts asked for with `--details`. */
export type RecordDetails = {
  /** Model id and the first 12 hex digits of the pack's digest, as `nano@0123456789ab`. */
  model: string;
  /** The exact text sent to the language model, images shown as `<image>`. */
  prompt: string;
  /** Generated ids, with the stop id where one was generated. */
  tokenIds: number[];
  finishReason: 'stop' | 'length';
  /** Sum of the natural log-probabilities of `tokenIds`. */
  score: number;
  /** What beams are ranked by: `score` over a power of the length (`--length-penalty`). Only where there are beams. */
  beamScore?: number;
  /** From reading the file to the finished text, waiting in batches included. */
  seconds: number;
};

/** What is wrong with an image that was answered all the same: `damaged`, where data inside a JPEG is. */
export type RecordedWarnings = { warnings?: readonly string[] };

export type CaptionRecord = {
  schema: 1;
  image: string;
  /** What the model was told to do; only where it was told so in several ways. */
  instruction?: string;
  caption: string;
} & RecordedWarnings &
  Partial<RecordDetails>;

export type AnswerRecord = {
  schema: 1;
  image: string;
  question: string;
  answer: string;
  /** Of every choice, in the order given; asked for with `--scores`. */
  scores?: readonly RecordedChoice[];
} & RecordedWarnings &
  Partial<RecordDetails>;

/** What the model holds of one of the answers that it was to choose from (docs/choices.md). */
export type RecordedChoice = {
  /** As the user wrote it. */
  choice: string;
  /** Mean natural log-probability of its tokens, the end of the answer included; the greatest wins. */
  score: number;
  /** Their sum. */
  logProbability: number;
  tokens: number;
  /** Softmax of `score` over the choices. */
  probability: number;
};

/** How well a text fits an image. */
export type MatchRecord = {
  schema: 1;
  image: string;
  text: string;
  /** Place of the image among all that were compared with the text, from 1; only where the best were asked for. */
  rank?: number;
  /** Probability that the text fits, by the head that reads image and text together. */
  itm: number;
  /** Cosine of the text's feature and the nearest of the image's. */
  itc: number;
} & RecordedWarnings &
  MatchDetails;

/** Extra facts of `--details`; `score` is what the best are ordered by. */
export type MatchDetails = Partial<Pick<RecordDetails, 'model' | 'score' | 'seconds'>>;

export type FailedRecord = {
  schema: 1;
  image: string;
  question?: string;
  instruction?: string;
  text?: string;
  error: { code: ImageErrorCode; message: string };
};

export type OutputRecord = CaptionRecord | AnswerRecord | MatchRecord | FailedRecord;

/** What a record is about, which decides its columns and what is said of a run; `rank` is `match` where the best are asked for, `wordings` is `caption` where an image has one for each wording of the instruction. */
export type RecordKind = 'caption' | 'wordings' | 'ask' | 'match' | 'rank';

/** True for a record that reports a failure instead of an answer. */
export function isFailed(record: OutputRecord): record is FailedRecord {
  return 'error' in record;
}
