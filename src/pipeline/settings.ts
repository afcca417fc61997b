/** Everything a run depends on besides images and model, decided: nothing here is optional, and nothing below asks a flag or a variable. */
import type { AnswerOptions } from '../engine/model.ts';
import type { Template } from '../prompt/template.ts';

/** What is asked about each image; what is undefined is as the prompt family has it. */
export type Task =
  | {
      kind: 'caption';
      /** The text to continue, or the instruction. */
      prompt: string | undefined;
    }
  | {
      kind: 'ask';
      questions: readonly string[];
      /** How a question is put. */
      template?: Template | undefined;
    };

export type Settings = {
  task: Task;
  /** How answers are decoded; scores are computed where `details` are wanted. */
  decoding: Omit<AnswerOptions, 'score'>;
  /** Images with more pixels are refused before they are decoded. */
  maxPixels: number;
  /** Whether records carry `RecordDetails`. */
  details: boolean;
  /** Images decoded at one time. */
  decoders: number;
};
