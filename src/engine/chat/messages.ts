/**
 * What the main thread and the thread of a conversation say to each other. Every request is answered with what has happened since the last answer;
 * what is written is fetched piece by piece, so that a slow reader holds the pieces back and not the other way round.
 */
import type { Pack } from '../../pack/model-declaration.ts';
import type { Compute } from '../../runtime/compute.ts';
import type { PlainImageError } from '../../threads/plain-error.ts';
import type { AnswerOptions } from '../model.ts';
import type { ChatAnswer } from './conversation.ts';
import type { AnswerPiece } from './streamed-answer.ts';

/** Given to the thread when it starts. `options` hold for every answer. */
export type ChatStart = { pack: Pack; compute: Compute; options: AnswerOptions };

export type ChatRequest =
  /** [3, S, S]; the conversation begins anew. */
  | { type: 'image'; pixelValues: Float32Array }
  | { type: 'forget' }
  | { type: 'ask'; question: string }
  /** What has happened since the last answer; waits where that is nothing. */
  | { type: 'next' };

/** Ends the answer that is being written. */
export type ChatNotice = { type: 'stop' };

export type ChatEvent =
  | { type: 'prompt'; prompt: string; forgottenTurns: number }
  | { type: 'text'; piece: AnswerPiece }
  | { type: 'answered'; answer: ChatAnswer }
  | { type: 'failed'; error: PlainImageError };
