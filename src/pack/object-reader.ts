/**
 * Reads JSON that somebody else wrote: each key is taken once with the type it must have, and keys that nobody took can be refused.
 * A small reader of our own instead of a schema library: it is all that model.json and the prompt files need, and its messages name file and key.
 */
import { PackError, type MinigptError } from '../errors.ts';

/** Makes the error for a file and a message; a PackError unless the file belongs to something else. */
export type ErrorMaker = (file: string, message: string, options?: ErrorOptions) => MinigptError;

const packError: ErrorMaker = (file, message, options) => new PackError(file, message, options);

export class ObjectReader {
  readonly #value: Readonly<Record<string, unknown>>;
  readonly #file: string;
  readonly #where: string;
  readonly #makeError: ErrorMaker;
  readonly #taken = new Set<string>();

  private constructor(value: unknown, file: string, where: string, makeError: ErrorMaker) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw makeError(file, `${where === '' ? 'the file' : where} should be a JSON object but is ${kindOf(value)}.`);
    }
    this.#value = value as Record<string, unknown>;
    this.#file = file;
    this.#where = where;
    this.#makeError = makeError;
  }

  /** Parses `text`, which must hold one JSON object. `file` is named in every message. */
  static parse(text: string, file: string, makeError: ErrorMaker = packError): ObjectReader {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw makeError(file, `the file is not valid JSON (${String(cause)}).`, { cause });
    }
    return new ObjectReader(value, file, '', makeError);
  }

  has(key: string): boolean {
    const value = this.#own(key);
    return value !== undefined && value !== null;
  }

  /** The keys of the object, in the order of the file; all count as taken. */
  keys(): string[] {
    const keys = Object.keys(this.#value);
    for (const key of keys) this.#taken.add(key);
    return keys;
  }

  string(key: string): string {
    const value = this.#take(key);
    return typeof value === 'string' ? value : this.#fail(key, 'a string', value);
  }

  number(key: string): number {
    const value = this.#take(key);
    return typeof value === 'number' && Number.isFinite(value) ? value : this.#fail(key, 'a number', value);
  }

  /** A whole number of at least 0. */
  integer(key: string): number {
    const value = this.#take(key);
    return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
      ? value
      : this.#fail(key, 'a whole number of at least 0', value);
  }

  boolean(key: string): boolean {
    const value = this.#take(key);
    return typeof value === 'boolean' ? value : this.#fail(key, 'true or false', value);
  }

  oneOf<const Choice extends string>(key: string, choices: readonly Choice[]): Choice {
    const value = this.#take(key);
    return choices.find((choice) => choice === value) ?? this.#fail(key, `one of ${choices.join(', ')}`, value);
  }

  triple(key: string): [number, number, number] {
    const value = this.#take(key);
    if (Array.isArray(value) && value.length === 3 && value.every((item) => Number.isFinite(item))) {
      return value as [number, number, number];
    }
    return this.#fail(key, 'a list of three numbers', value);
  }

  strings(key: string): string[] {
    const value = this.#take(key);
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
    return this.#fail(key, 'a list of strings', value);
  }

  /** Whether the value is a list, for keys that may hold one value or several. */
  isList(key: string): boolean {
    return Array.isArray(this.#own(key));
  }

  /** Whether the value is a string, for keys that may hold something else too. */
  isString(key: string): boolean {
    return typeof this.#own(key) === 'string';
  }

  /** Whether the value is a number, for keys that may hold something else too. */
  isNumber(key: string): boolean {
    return typeof this.#own(key) === 'number';
  }

  /** Whether the value is one that Python counts as true: not missing, null, false, 0 or empty. */
  isTruthy(key: string): boolean {
    const value = this.#own(key);
    return typeof value === 'object' && value !== null ? Object.keys(value).length > 0 : Boolean(value);
  }

  /** A list of whole numbers of at least 0. */
  integers(key: string): number[] {
    const value = this.#take(key);
    return isIntegers(value) ? value : this.#fail(key, 'a list of whole numbers', value);
  }

  /** A list whose items are lists of whole numbers, or null. */
  arrays(key: string): (number[] | null)[] {
    const value = this.#take(key);
    if (Array.isArray(value) && value.every((item) => item === null || isIntegers(item))) return value;
    return this.#fail(key, 'a list of lists of whole numbers', value);
  }

  object(key: string): ObjectReader {
    return new ObjectReader(this.#take(key), this.#file, this.#name(key), this.#makeError);
  }

  /** An object, or an empty one where the key is absent. */
  objectOrEmpty(key: string): ObjectReader {
    return this.has(key) ? this.object(key) : new ObjectReader({}, this.#file, this.#name(key), this.#makeError);
  }

  /** A list of objects. */
  list(key: string): ObjectReader[] {
    const value = this.#take(key);
    if (!Array.isArray(value)) return this.#fail(key, 'a list', value);
    return value.map(
      (item, index) => new ObjectReader(item, this.#file, `${this.#name(key)}[${index}]`, this.#makeError),
    );
  }

  /** @throws an error naming the first key that was never taken. */
  refuseUnknownKeys(): void {
    const unknown = Object.keys(this.#value).find((key) => !this.#taken.has(key));
    if (unknown !== undefined) {
      throw this.#makeError(this.#file, `the key ${this.#name(unknown)} is not known to this version of minigpt.`);
    }
  }

  #take(key: string): unknown {
    this.#taken.add(key);
    return this.#own(key);
  }

  /** What the file has under `key`, and nothing that every JavaScript object has. */
  #own(key: string): unknown {
    return Object.hasOwn(this.#value, key) ? this.#value[key] : undefined;
  }

  #name(key: string): string {
    return this.#where === '' ? key : `${this.#where}.${key}`;
  }

  /** Throws the error for a key whose value has the right type but cannot be used. */
  fail(key: string, expected: string): never {
    return this.#fail(key, expected, this.#value[key]);
  }

  #fail(key: string, expected: string, value: unknown): never {
    throw this.#makeError(this.#file, `${this.#name(key)} should be ${expected} but is ${kindOf(value)}.`);
  }
}

function isIntegers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
