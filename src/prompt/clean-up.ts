/**
 * What is cut off a decoded text before it is an answer. The steps are data of a prompt family, because the references' chat and their batch
 * `generate` cut differently, and an answer goes back into the next prompt of a conversation as it was cut.
 */
import type { ObjectReader } from '../pack/object-reader.ts';
import { required } from '../required.ts';

const KEEP = ['before_first', 'after_last', 'all_but'] as const;

/** What a step leaves of the text; all of it where the text lacks the mark. */
const KEPT: Record<(typeof KEEP)[number], (text: string, mark: string) => string> = {
  before_first: (text, mark) => required(text.split(mark, 1)[0], 'the first part of a split'),
  after_last: (text, mark) => required(text.split(mark).at(-1), 'the last part of a split'),
  all_but: (text, mark) => text.replaceAll(mark, ''),
};

/** White space by the rule of Python's `str.strip`: Unicode's, and the four separators U+001C to U+001F. */
// oxlint-disable-next-line no-control-regex -- a byte-level model can write them, and Python strips them
const SPACE_AROUND = /^[\p{White_Space}\u{1c}-\u{1f}]+|[\p{White_Space}\u{1c}-\u{1f}]+$/gu;

type Step = { keep: (typeof KEEP)[number]; mark: string };

export class CleanUp {
  readonly #steps: readonly Step[];

  private constructor(steps: readonly Step[]) {
    this.#steps = steps;
  }

  /**
   * Takes the list of steps under `key`, each `{ "keep": …, "mark": … }`.
   *
   * @throws PackError when a step is missing a key, has another, or has an empty mark.
   */
  static read(reader: ObjectReader, key: string): CleanUp {
    return new CleanUp(
      reader.list(key).map((step) => {
        const keep = step.oneOf('keep', KEEP);
        const mark = step.string('mark');
        if (mark === '') step.fail('mark', 'a text of at least one character');
        step.refuseUnknownKeys();
        return { keep, mark };
      }),
    );
  }

  /** The text after every step, in their order, and without white space around it. */
  apply(text: string): string {
    return this.#steps.reduce((rest, { keep, mark }) => KEPT[keep](rest, mark), text).replace(SPACE_AROUND, '');
  }

  /**
   * What the answer begins with when `text` is only the beginning of what is decoded: without an end that may turn out to be a mark. Only an
   * `after_last` that comes later can still take it back.
   */
  applyToBeginning(text: string): string {
    const certain = this.#steps.reduce(
      (rest, { keep, mark }) => KEPT[keep](keep === 'after_last' ? rest : withoutBegunMark(rest, mark), mark),
      text,
    );
    return certain.replace(SPACE_AROUND, '');
  }
}

/** `text` without the beginning of another `mark` at its end. */
function withoutBegunMark(text: string, mark: string): string {
  const behindLastMark = required(text.split(mark).at(-1), 'the last part of a split');
  let length = Math.min(behindLastMark.length, mark.length - 1);
  while (length > 0 && !behindLastMark.endsWith(mark.slice(0, length))) length--;
  return text.slice(0, text.length - length);
}
