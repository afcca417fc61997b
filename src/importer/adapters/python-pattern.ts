/**
 * Module names as PEFT's configs match them: a list of endings, or a regular expression of Python. Configs come from somewhere else, and a
 * regular expression can be made to run for ever, so these run with a limit.
 */
import { runInNewContext } from 'node:vm';
import { CheckpointError } from '../../errors.ts';
import { quoted } from '../read/quoted.ts';

/** The longest time that one expression may take for all names of an adapter. */
const LIMIT_MS = 2000;

/** A name without any sign that regular expressions know, but for the dot. */
const PLAIN = /^[\w.]+$/;

/** Whether a name is `ending`, or ends with it behind a dot. */
export function endsWithName(name: string, ending: string): boolean {
  return name === ending || name.endsWith(`.${ending}`);
}

/**
 * The names that `pattern` matches as a whole.
 *
 * @param where the file and key of the pattern, for messages
 * @throws CheckpointError when it is no regular expression that can be read, or runs for too long.
 */
export function matchedWhole(pattern: string, names: readonly string[], where: string): Set<string> {
  return matched(`^(?:${translated(pattern)})$`, pattern, names, where);
}

/** The names that `pattern` matches up to their end, from their beginning or from behind a dot. */
export function matchedEnds(pattern: string, names: readonly string[], where: string): Set<string> {
  if (PLAIN.test(pattern)) return new Set(names.filter((name) => endsWithName(name, pattern)));
  return matched(`^(?:.*\\.)?(?:${translated(pattern)})$`, pattern, names, where);
}

function matched(source: string, pattern: string, names: readonly string[], where: string): Set<string> {
  try {
    const script =
      'const expression = new RegExp(source); names.map((name) => (expression.test(name) ? 1 : 0)).join("")';
    const found: unknown = runInNewContext(script, { source, names: [...names] }, { timeout: LIMIT_MS });
    const marks = String(found);
    return new Set(names.filter((_, index) => marks[index] === '1'));
  } catch (cause) {
    throw new CheckpointError(
      where,
      `the regular expression ${quoted(pattern)} cannot be read, or runs for too long. Write the names of the modules as a list.`,
      { cause },
    );
  }
}

/** Python's own spellings in JavaScript's. */
function translated(pattern: string): string {
  return pattern
    .replaceAll('(?P<', '(?<')
    .replaceAll(/\(\?P=(\w+)\)/g, '\\k<$1>')
    .replaceAll('\\A', '^')
    .replaceAll('\\Z', '$');
}
