/** What a model said about an image, as the records a user gets. */
import type { Answer, Model, TokenizedPrompt } from '../engine/model.ts';
import { ImageError, MinigptError } from '../errors.ts';
import type { ImageWarning } from '../images/rgb-image.ts';
import type { Pack } from '../pack/model-declaration.ts';
import type { FailedRecord, OutputRecord, RecordDetails } from '../output/record.ts';
import { trimDescription } from '../prompt/trim-description.ts';
import { required } from '../required.ts';
import type { Task } from './settings.ts';

/** What tells the records of an image apart: a question, or one of several instructions. Empty for its one description. */
export type Asked = { question?: string; instruction?: string };

/** One record's worth of a task. */
export type Request = { asked: Asked; prompt: TokenizedPrompt };

/** What is asked about each image, as the model reads it. */
export function requestsOf(task: Task, model: Model): Request[] {
  const prompts = promptsOf(task, model);
  return askedOf(task).map((asked, index) => {
    const prompt = prompts[index];
    if (prompt === undefined) throw new RangeError('every record of an image has a prompt');
    return { asked, prompt };
  });
}

function promptsOf(task: Task, model: Model): TokenizedPrompt[] {
  if (task.kind === 'ask') return task.questions.map((question) => model.questionPrompt(question, task));
  const { detail } = task;
  if (detail === undefined || detail.instructions.length === 0) return [model.captionPrompt(task.prompt)];
  const { instructions, goOn } = detail;
  return instructions.map((instruction) => {
    const prompt = model.captionPrompt(instruction);
    return goOn === undefined ? prompt : { ...prompt, followUp: { question: instruction, ...goOn } };
  });
}

/** One entry per record of an image, in order. */
function askedOf(task: Task): Asked[] {
  if (task.kind === 'ask') return task.questions.map((question) => ({ question }));
  const { detail } = task;
  if (detail === undefined || detail.instructions.length < 2) return [{}];
  return detail.instructions.map((instruction) => ({ instruction }));
}

/** What is told of an image beside its answers; nothing where nothing is wrong. */
export function noted(warnings: readonly ImageWarning[]): { warnings?: readonly ImageWarning[] } {
  return warnings.length === 0 ? {} : { warnings };
}

/** The record of one answer; `details` and the scores of choices only where the user asked for them. */
export function answeredRecord(
  image: string,
  asked: Asked,
  text: string,
  details: RecordDetails | undefined,
  scores: Answer['scores'],
): OutputRecord {
  const { question } = asked;
  if (question === undefined) return { schema: 1, image, ...asked, caption: text, ...details };
  return { schema: 1, image, question, answer: text, ...(scores === undefined ? {} : { scores }), ...details };
}

/** The text of a record: what the model wrote, and of a detailed description what is left after trimming. */
export function textOf(task: Task, { text, finishReason }: Answer): string {
  const isDetailed = task.kind === 'caption' && task.detail !== undefined;
  return isDetailed ? trimDescription(text, finishReason === 'length') : text;
}

export function detailsOf(model: Model, prompt: TokenizedPrompt, answer: Answer, seconds: number): RecordDetails {
  return {
    model: modelName(model.pack),
    prompt: prompt.text,
    tokenIds: answer.tokenIds,
    finishReason: answer.finishReason,
    score: required(answer.score, 'the score of an answer with details'),
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

export function failedRecord(image: string, asked: Asked, error: ImageError): FailedRecord {
  const { code, message } = error;
  return { schema: 1, image, ...asked, error: { code, message } };
}

/** One failed record per question or instruction, or the one of a caption: nothing that was asked is missing from the output. */
export function failedRecords(image: string, task: Task, error: ImageError): FailedRecord[] {
  return askedOf(task).map((asked) => failedRecord(image, asked, error));
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
