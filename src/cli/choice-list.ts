/** A list of choices on one line, as a row of CSV (RFC 4180): commas between them, quotes around a choice that holds one, two quotes for one inside. */
import { UsageError } from '../errors.ts';

/** A choice and what ends it: in quotes, which nothing but white space surrounds, or plain. */
const CHOICE = /\s*(?:"((?:[^"]|"")*)"\s*|([^,]*))(,|$)/uy;

/**
 * The choices of a list, without the white space around them.
 *
 * @throws UsageError when a quote is not closed, or a text goes on behind one.
 */
export function parseChoices(list: string): string[] {
  const choices: string[] = [];
  for (let position = 0; ;) {
    CHOICE.lastIndex = position;
    const [whole, quoted, plain = '', end] = CHOICE.exec(list) ?? [];
    if (whole === undefined || plain.startsWith('"')) throw wrongQuotes(list.slice(position));
    choices.push((quoted?.replaceAll('""', '"') ?? plain).trim());
    if (end === '') return choices;
    position += whole.length;
  }
}

function wrongQuotes(rest: string): UsageError {
  return new UsageError(
    `--choices: the quotes of ${rest.trim()} are not closed, or something stands behind them. Put quotes around a whole choice, and write a quote inside as two.`,
  );
}
