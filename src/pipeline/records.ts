/** What a model said about an image, as the records a user gets. */
import type { Answer, Model, TokenizedPrompt } from '../engine/model.ts';
import { ImageError, MinigptError } from '../errors.ts';
import type { Pack } from '../pack/model-declaration.ts';
import type { FailedRecord, OutputRecord, RecordDetails } from '../output/record.ts';
import type { Task } from './settings.ts';

/** One record's worth of a task: for `ask` a question, for `caption` the one description. */
export type Request = { question: string | undefined; prompt: TokenizedPrompt };

/** What is asked about each image, as the model reads it. */
export function requestsOf(task: Task, model: Model): Request[] {
  if (task.kind === 'caption') return [{ question: undefined, prompt: model.captionPrompt(task.prompt) }];
  const { template } = task;
  return task.questions.map((question) => ({ question, prompt: model.questionPrompt(question, template) }));
}

/** The record of one answer; `details` only where the user asked for them. */
export function answeredRecord(
  image: string,
  question: string | undefined,
  answer: Answer,
  details: RecordDetails | undefined,
): OutputRecord {
  if (question === undefined) return { schema: 1, image, caption: answer.text, ...details };
  return { schema: 1, image, question, answer: answer.text, ...details };
}

export function detailsOf(model: Model, prompt: TokenizedPrompt, answer: Answer, seconds: number): RecordDetails {
  return {
    model: modelName(model.pack),
    prompt: prompt.text,
    tokenIds: answer.tokenIds,
    finishReason: answer.finishReason,
    score: answer.score ?? 0,
    ...(answer.beamScore === undefined ? {} : { beamScore: answer.beamScore }),
    seconds: roundedSeconds(seconds),
  };
}

/** Model id and the beginning of the pack's digest, as `nano@0123456789ab`. */
export function modelName({ declaration, digest }: Pack): string {
  return `${declaration.id}@${digest.slice(0, 12)}`;
}

/** Seconds as a record shows them, to the millisecond. */
export function roundedSeconds(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}

export function failedRecord(image: string, question: string | undefined, error: ImageError): FailedRecord {
  const { code, message } = error;
  return { schema: 1, image, ...(question === undefined ? {} : { question }), error: { code, message } };
}

/** One failed record per question, or the one of a caption: nothing that was asked is missing from the output. */
export function failedRecords(image: string, task: Task, error: ImageError): FailedRecord[] {
  const questions = task.kind === 'ask' ? task.questions : [undefined];
  return questions.map((question) => failedRecord(image, question, error));
}

/**
 * What a record reports of an image that failed. Errors that nobody foresaw are `internal`, with their own message.
 *
 * @throws `error` itself where it is not this image's: a model that cannot be loaded, or has ended.
 */
export function imageFailure(error: unknown): ImageError {
  if (error instanceof ImageError) return error;
  if (error instanceof MinigptError) throw error;
  const message = error instanceof Error ? error.message : String(error);
  return new ImageError('internal', message, { cause: error });
}
