/** What the inference threads say of an image that the model could not be run on. */
import { ImageError } from '../errors.ts';

/** A failure nobody expects, as that image's error: the first line of its message behind `problem`. */
export function internalError(
  error: unknown,
  problem: string = 'the model could not be run on this image',
): ImageError {
  const message = error instanceof Error ? error.message : String(error);
  return new ImageError('internal', `${problem}: ${message.replace(/\n.*/su, '')}`, { cause: error });
}

/** @param tokens that were written until then */
export function notANumber(tokens: number): ImageError {
  return new ImageError(
    'not-a-number',
    `the model computed a value that is not a number after ${tokens} tokens, so its text cannot be trusted. Check the pack with "minigpt models verify".`,
  );
}
