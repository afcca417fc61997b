/** Everything a run depends on besides images and model, decided: nothing here is optional, and nothing below asks a flag or a variable. */
import type { AnswerOptions } from '../engine/model.ts';
import type { GoOn } from '../prompt/detail.ts';
import type { Template } from '../prompt/template.ts';

/** What is asked about each image; what is undefined is as the prompt family has it. */
export type Task =
  | {
      kind: 'caption';
      /** The text to continue, or the instruction. */
      prompt: string | undefined;
      /** Asks for a detailed description; `prompt` is then undefined. */
      detail?: DetailTask | undefined;
    }
  | {
      kind: 'ask';
      questions: readonly string[];
      /** How a question is put. */
      template?: Template | undefined;
      /** Every answer is one of them. */
      choices?: readonly string[] | undefined;
    };

/** A detailed description: repetition and a trailing fragment are taken off it. */
export type DetailTask = {
  /** One description each; where there are none, one description by the family's own prompt. */
  instructions: readonly string[];
  /** What is said next where a description is short; only with instructions. */
  goOn: GoOn | undefined;
};

/** How many records an image gets. */
export function recordsPerImage(task: Task): number {
  if (task.kind === 'ask') return task.questions.length;
  // Without instructions there is one description, by the family's own prompt.
  return Math.max(task.detail?.instructions.length ?? 0, 1);
}

export type Settings = {
  task: Task;
  /** How answers are decoded; scores are computed where `details` are wanted. */
  decoding: Omit<AnswerOptions, 'score'>;
  /** Images with more pixels are refused before they are decoded. */
  maxPixels: number;
  /** Computing time that decoding one image may take. */
  decodeSeconds: number;
  /** Whether records carry `RecordDetails`. */
  details: boolean;
  /** Whether records carry the scores of all choices. */
  scores: boolean;
  /** Images decoded at one time. */
  decoders: number;
};
