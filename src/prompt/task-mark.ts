/**
 * The mark in front of a request, such as `[vqa] `, by which a model of several tasks knows what is wanted. A user may write it; a question
 * without one gets that of question answering.
 */
import type { ObjectReader } from '../pack/object-reader.ts';

export class TaskMark {
  readonly #default: string;
  readonly #known: readonly string[];

  private constructor(defaultMark: string, known: readonly string[]) {
    this.#default = defaultMark;
    this.#known = known;
  }

  /**
   * Takes `default` and `known` of a prompt file's `task`.
   *
   * @throws PackError when a key is missing, unknown or mistyped, or the default is not among the known ones.
   */
  static read(reader: ObjectReader): TaskMark {
    const known = reader.strings('known');
    const mark = new TaskMark(reader.oneOf('default', known), known);
    reader.refuseUnknownKeys();
    return mark;
  }

  /** The request with a mark in front: its own, or the default one and a space. */
  put(request: string): string {
    return this.#known.some((mark) => request.startsWith(mark)) ? request : `${this.#default} ${request}`;
  }
}
