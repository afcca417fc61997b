/**
 * What the main thread and the thread of a conversation say to each other. A reply answers one request; what is written meanwhile is fetched
 * piece by piece, so that a slow reader holds the pieces back and not the other way round.
 */
import type { ImageErrorCode } from '../../errors.ts';
import type { Pack } from '../../pack/model-declaration.ts';
import type { Compute } from '../../runtime/compute.ts';
import type { ChatAnswer } from './conversation.ts';
import type { AnswerOptions } from '../model.ts';
import type { AnswerPiece } from './streamed-answer.ts';

/** Given to the thread when it starts. `options` hold for every answer. */
export type ChatStart = { pack: Pack; compute: Compute; options: AnswerOptions };

export type ChatRequest =
  /** [3, S, S]; the conversation begins anew. */
  | { type: 'image'; id: number; pixelValues: Float32Array }
  | { type: 'forget'; id: number }
  | { type: 'ask'; id: number; question: string }
  /** What has happened since the last reply; waits where that is nothing. */
  | { type: 'next'; id: number }
  /** Ends the answer that is being written. Has no reply of its own. */
  | { type: 'stop' };

export type ChatEvent =
  | { type: 'prompt'; prompt: string; forgottenTurns: number }
  | { type: 'text'; piece: AnswerPiece }
  | { type: 'answered'; answer: ChatAnswer }
  /** An ImageError as plain data: classes do not cross threads. */
  | { type: 'failed'; code: ImageErrorCode; message: string };

export type ChatReply = { id: number; events: ChatEvent[] };
