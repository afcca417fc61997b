/**
 * Settings out of a pickle as plain JSON data. What JSON has no word for (placeholders, tensors, raw bytes, infinities, integers beyond 2^53) is
 * left out of objects and is null in lists.
 */
import { CheckpointError } from '../../errors.ts';
import { PickleDict, PickleList, PickleSet, PickleTuple, type PickleValue } from './pickle-value.ts';

export type PlainValue =
  null | boolean | number | string | readonly PlainValue[] | { readonly [key: string]: PlainValue };

/** Real settings are a few levels deep. Deeper ones, or such as hold themselves, are no settings. */
const MAX_DEPTH = 40;
/** A list may hold another one twice, that one a third twice, and so on: small in the file, and without end when written out. */
const MAX_VALUES = 100_000;

/**
 * A dict of settings as an object.
 *
 * @param path the file, for messages
 * @throws CheckpointError when the settings are too deep or too many.
 */
export function plainSettings(path: string, settings: PickleDict): PlainValue {
  let values = 0;
  const convertDict = (dict: PickleDict, depth: number): PlainValue => {
    const entries: [string, PlainValue][] = [];
    for (const [key, item] of dict.entries) {
      if (typeof key !== 'string' && typeof key !== 'number' && typeof key !== 'boolean') continue;
      const plain = convert(item, depth + 1);
      if (plain !== undefined) entries.push([String(key), plain]);
    }
    return Object.fromEntries(entries);
  };
  const convert = (value: PickleValue, depth: number): PlainValue | undefined => {
    values++;
    if (depth > MAX_DEPTH || values > MAX_VALUES) {
      throw new CheckpointError(
        path,
        `its settings have more than ${MAX_DEPTH} levels or ${MAX_VALUES} values, which is too much for settings. This may not be the published file.`,
        { fault: 'bad-pickle' },
      );
    }
    if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
    if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
    if (value instanceof PickleTuple || value instanceof PickleList || value instanceof PickleSet) {
      return value.items.map((item) => convert(item, depth + 1) ?? null);
    }
    return value instanceof PickleDict ? convertDict(value, depth) : undefined;
  };
  return convertDict(settings, 0);
}
