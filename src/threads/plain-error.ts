/** Errors as plain data. Classes do not cross threads, so an error is taken apart on one side and made again on the other. */
import {
  CheckpointError,
  ImageError,
  MinigptError,
  PackError,
  type CheckpointFault,
  type ImageErrorCode,
} from '../errors.ts';

type Facts = {
  /** Without the path, where the error has one of its own. */
  message: string;
  /** Where it was thrown, for `--debug`. */
  stack: string | undefined;
  cause: PlainError | undefined;
};

export type PlainImageError = Facts & { kind: 'image'; code: ImageErrorCode };

export type PlainError =
  | PlainImageError
  | (Facts & { kind: 'pack'; path: string })
  | (Facts & { kind: 'checkpoint'; path: string; fault: CheckpointFault | undefined })
  /** Any other error with a message for the user. */
  | (Facts & { kind: 'minigpt' })
  /** A mistake of the program, or of the system. */
  | (Facts & { kind: 'other'; name: string });

/** Causes that are told of an error, at most: an error may be its own cause. */
const MOST_CAUSES = 4;

/** What an error is made of. Whatever was thrown is one. */
export function toPlainError(error: ImageError): PlainImageError;
export function toPlainError(error: unknown): PlainError;
export function toPlainError(error: unknown): PlainError {
  return plainError(error, MOST_CAUSES);
}

/** The error that a plain one was made of, of the same class where that is one of `errors.ts` that a thread throws. */
export function fromPlainError(plain: PlainImageError): ImageError;
export function fromPlainError(plain: PlainError): Error;
export function fromPlainError(plain: PlainError): Error {
  const error = madeAgain(plain);
  if (plain.stack !== undefined) error.stack = plain.stack;
  return error;
}

function plainError(error: unknown, mostCauses: number): PlainError {
  if (!(error instanceof Error))
    return { kind: 'other', name: 'Error', message: String(error), stack: undefined, cause: undefined };
  const { message, stack } = error;
  const cause = mostCauses > 0 && error.cause instanceof Error ? plainError(error.cause, mostCauses - 1) : undefined;
  if (error instanceof ImageError) return { kind: 'image', code: error.code, message, stack, cause };
  if (error instanceof PackError) return { kind: 'pack', path: error.path, message: behindPath(error), stack, cause };
  if (error instanceof CheckpointError) {
    const { path, fault } = error;
    return { kind: 'checkpoint', path, fault, message: behindPath(error), stack, cause };
  }
  if (error instanceof MinigptError) return { kind: 'minigpt', message, stack, cause };
  return { kind: 'other', name: error.name, message, stack, cause };
}

function madeAgain(plain: PlainError): Error {
  const { message } = plain;
  const options = plain.cause === undefined ? {} : { cause: fromPlainError(plain.cause) };
  switch (plain.kind) {
    case 'image':
      return new ImageError(plain.code, message, options);
    case 'pack':
      return new PackError(plain.path, message, options);
    case 'checkpoint':
      return new CheckpointError(
        plain.path,
        message,
        plain.fault === undefined ? options : { ...options, fault: plain.fault },
      );
    case 'minigpt':
      return new MinigptError(message, options);
    default: {
      const error = new Error(message, options);
      error.name = plain.name;
      return error;
    }
  }
}

/** The message without the path that its class puts in front. */
function behindPath({ path, message }: PackError | CheckpointError): string {
  return message.slice(`${path}: `.length);
}
