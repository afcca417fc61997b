/**
 * One line of output: what a user gets for one image (caption) or one image and question (ask).
 *
 * This is public interface (contract: Output). `schema` is raised when a field changes its meaning.
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
  /** From reading the file to the finished text, waiting in batches included. */
  seconds: number;
};

export type CaptionRecord = { schema: 1; image: string; caption: string } & Partial<RecordDetails>;

export type AnswerRecord = { schema: 1; image: string; question: string; answer: string } & Partial<RecordDetails>;

export type FailedRecord = {
  schema: 1;
  image: string;
  question?: string;
  error: { code: ImageErrorCode; message: string };
};

export type OutputRecord = CaptionRecord | AnswerRecord | FailedRecord;

/** True for a record that reports a failure instead of an answer. */
export function isFailed(record: OutputRecord): record is FailedRecord {
  return 'error' in record;
}
