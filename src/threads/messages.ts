/** What passes between a thread and its owner. Requests have numbers, and an answer has that of its request. */
import type { PlainError } from './plain-error.ts';

export type ToThread<Request, Notice> =
  | { type: 'request'; id: number; request: Request }
  /** What needs no answer. */
  | { type: 'notice'; notice: Notice }
  | { type: 'close' };

export type FromThread<Answer> =
  | { type: 'ready' }
  /** What the thread is for could not be loaded, and it ends. */
  | { type: 'failed'; error: PlainError }
  | { type: 'answered'; id: number; answer: Answer }
  | { type: 'refused'; id: number; error: PlainError };
