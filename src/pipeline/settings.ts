/** Everything a run depends on besides images and model, decided: nothing here is optional, and nothing below asks a flag or a variable. */
import type { AnswerOptions } from '../engine/model.ts';

/**
 * What is asked about each image. For a caption, `prompt` is the text to continue; undefined stands for the prompt family's own. Where there are
 * `choices`, every answer is one of them.
 */
export type Task =
  | { kind: 'caption'; prompt: string | undefined }
  | { kind: 'ask'; questions: readonly string[]; choices?: readonly string[] };

export type Settings = {
  task: Task;
  /** How answers are decoded; scores are computed where `details` are wanted. */
  decoding: Omit<AnswerOptions, 'score'>;
  /** Images with more pixels are refused before they are decoded. */
  maxPixels: number;
  /** Whether records carry `RecordDetails`. */
  details: boolean;
  /** Whether records carry the scores of all choices. */
  scores: boolean;
  /** Images decoded at one time. */
  decoders: number;
};
