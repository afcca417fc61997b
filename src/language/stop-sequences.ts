/**
 * Sequences of tokens that end an answer beside the end tokens: a chat model that was never taught to stop goes on with the next turn's
 * separator, and that is where its answer ends. Whether a row has ended is asked of the row alone; MiniGPT-4's `StoppingCriteriaSub`, where
 * this comes from (minigpt4/conversation/conversation.py), looks at its whole batch and can only serve one image at a time.
 */
import { PackError } from '../errors.ts';
import type { StopCheck, StopRule } from './stop-rule.ts';

/**
 * The ids of a family's stop sequences in the vocabulary of one pack. A separator can be spelled in several ways, and a vocabulary need not
 * know all of them: a sequence with a token that is not there can never be written and is left out.
 *
 * @param stopTokens Each sequence as the vocabulary spells its tokens, such as `["##", "#"]`.
 * @param tokenId The id of one token, undefined where the vocabulary has none.
 * @param file The tokenizer's file, for the message.
 * @throws PackError when there are sequences and none of them can be written.
 */
export function stopSequences(
  stopTokens: readonly (readonly string[])[],
  tokenId: (token: string) => number | undefined,
  file: string,
): number[][] {
  const sequences = stopTokens.map((tokens) => tokens.map(tokenId).filter((id) => id !== undefined));
  const known = sequences.filter((ids, index) => ids.length === stopTokens[index]?.length);
  if (known.length === 0 && stopTokens.length > 0) {
    const wanted = stopTokens.map((tokens) => tokens.map((token) => `"${token}"`).join(' + ')).join(' or ');
    throw new PackError(
      file,
      `its vocabulary has no ${wanted}, which ends an answer of this model. Import the model again, with its own tokenizer.`,
    );
  }
  return known;
}

/** A row ends when its last ids are one of `sequences`. */
export function endsWithSequence(sequences: readonly (readonly number[])[]): StopRule {
  return { start: () => new LastTokens(sequences, []) };
}

class LastTokens implements StopCheck {
  readonly #sequences: readonly (readonly number[])[];
  /** As many as the longest sequence has. */
  readonly #ids: number[];
  readonly #longest: number;

  constructor(sequences: readonly (readonly number[])[], ids: readonly number[]) {
    this.#sequences = sequences;
    this.#ids = [...ids];
    this.#longest = Math.max(0, ...sequences.map(({ length }) => length));
  }

  add(tokenId: number): boolean {
    this.#ids.push(tokenId);
    if (this.#ids.length > this.#longest) this.#ids.shift();
    return this.#sequences.some((sequence) => endsWith(this.#ids, sequence));
  }

  fork(): LastTokens {
    return new LastTokens(this.#sequences, this.#ids);
  }
}

/** Whether the last of `ids` are `suffix`. */
export function endsWith(ids: readonly number[], suffix: readonly number[]): boolean {
  const start = ids.length - suffix.length;
  return start >= 0 && suffix.every((id, index) => id === ids[start + index]);
}
