/**
 * What is cut off a decoded text before it is an answer. The steps are data of a prompt family, because the references' chat and their batch
 * `generate` cut differently, and an answer goes back into the next prompt of a conversation as it was cut.
 */
import type { ObjectReader } from '../pack/object-reader.ts';

const KEEP = ['before_first', 'after_last', 'all_but'] as const;

/** What a step leaves of the text; all of it where the text lacks the mark. */
const KEPT: Record<(typeof KEEP)[number], (text: string, mark: string) => string> = {
  before_first: (text, mark) => text.split(mark, 1)[0] ?? '',
  after_last: (text, mark) => text.split(mark).at(-1) ?? '',
  all_but: (text, mark) => text.replaceAll(mark, ''),
};

/** White space by the rule of Python's `str.strip`: Unicode's, and the four separators U+001C to U+001F. */
// oxlint-disable-next-line no-control-regex -- a byte-level model can write them, and Python strips them
const SPACE_AROUND = /^[\p{White_Space}\u{1c}-\u{1f}]+|[\p{White_Space}\u{1c}-\u{1f}]+$/gu;

export class CleanUp {
  readonly #steps: readonly ((text: string) => string)[];

  private constructor(steps: readonly ((text: string) => string)[]) {
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
        return (text) => KEPT[keep](text, mark);
      }),
    );
  }

  /** The text after every step, in their order, and without white space around it. */
  apply(text: string): string {
    return this.#steps.reduce((rest, step) => step(rest), text).replace(SPACE_AROUND, '');
  }
}
