/**
 * A prompt template: literal text, `<image>` and `{placeholders}`.
 *
 * It is cut into pieces once, when it is loaded, and never again after user text went in. So a question that itself contains `<image>`,
 * `{question}` or `$&` stays the text the user wrote.
 */
import { PackError } from '../errors.ts';
import { required } from '../required.ts';

/** How an image is shown in templates and in the text of a prompt. */
export const IMAGE_MARK = '<image>';

/** A stretch of a filled template, in the model's order. */
export type FilledSegment = { type: 'image' } | { type: 'text'; text: string };

type Piece = { type: 'image' } | { type: 'literal'; text: string } | { type: 'placeholder'; name: string };

export class Template {
  /** The template as it was written. */
  readonly source: string;
  readonly #pieces: readonly Piece[];

  private constructor(source: string, pieces: readonly Piece[]) {
    this.source = source;
    this.#pieces = pieces;
  }

  /**
   * @param placeholders The names the template must use, each exactly once.
   * @param images How often it must hold `<image>`.
   * @param where File and key, for messages.
   * @throws PackError when a placeholder is unknown, repeated or missing, or the images are not as many.
   */
  static parse(
    source: string,
    placeholders: readonly string[],
    images: number,
    where: { file: string; key: string },
  ): Template {
    const pieces = source
      .split(/(<image>|\{\w+\})/)
      .filter((part) => part !== '')
      .map(toPiece);
    const used = pieces.flatMap((piece) => (piece.type === 'placeholder' ? [piece.name] : []));
    const imagesFound = pieces.filter((piece) => piece.type === 'image').length;
    if (used.toSorted().join() !== placeholders.toSorted().join() || imagesFound !== images) {
      const expected = [...Array<string>(images).fill(IMAGE_MARK), ...placeholders.map((name) => `{${name}}`)].join(
        ', ',
      );
      throw new PackError(where.file, `${where.key} should contain exactly ${expected}, but is "${source}".`);
    }
    return new Template(source, pieces);
  }

  /**
   * Puts `values` in and joins neighbouring text. A placeholder filled with nothing still makes a text segment, because a tokenizer that
   * puts a start token in front of a text does so for an empty one too.
   *
   * @throws RangeError when a value is missing: a mistake of the caller.
   */
  fill(values: Readonly<Record<string, string>>): FilledSegment[] {
    const segments: FilledSegment[] = [];
    for (const piece of this.#pieces) {
      const last = segments.at(-1);
      if (piece.type === 'image') {
        segments.push({ type: 'image' });
        continue;
      }
      const text = piece.type === 'literal' ? piece.text : required(values[piece.name], `the value of {${piece.name}}`);
      if (last?.type === 'text') last.text += text;
      else segments.push({ type: 'text', text });
    }
    return segments;
  }
}

function toPiece(part: string): Piece {
  if (part === IMAGE_MARK) return { type: 'image' };
  if (/^\{\w+\}$/.test(part)) return { type: 'placeholder', name: part.slice(1, -1) };
  return { type: 'literal', text: part };
}
