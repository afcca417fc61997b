/**
 * The bytes of a `--files-from` list as names.
 *
 * Lines suit what people write; NUL-separated entries (`find -print0`) suit names that hold a newline. PowerShell writes UTF-16, and file
 * names that are not UTF-8 stand in a list as the bytes that they are.
 */
import { isUtf8 } from 'node:buffer';
import { UsageError } from '../errors.ts';

export type FileList = {
  /** In order; bytes where a name is not UTF-8. */
  names: readonly (string | Buffer)[];
  /** Whether escapes are read before a name is taken as it stands: in lines, since they may come from records (docs/file-names.md). */
  escapedFirst: boolean;
};

const NUL = 0;
const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Splits a list into its names.
 *
 * Blank lines are skipped and a byte order mark is not part of the first name. Nothing else is trimmed, since a name may begin or end
 * with a space. Between NULs every character counts, newlines too, and nothing between two of them is an empty name.
 *
 * @throws UsageError for lines with NULs in them.
 */
export function readFileList(bytes: Buffer, nulSeparated: boolean): FileList {
  const utf8 = toUtf8(bytes, nulSeparated);
  if (nulSeparated) return { names: namesBetweenNuls(utf8), escapedFirst: false };
  if (utf8.includes(NUL)) {
    throw new UsageError(
      'the list of --files-from holds NUL characters. If they end the paths, as with "find -print0", add --null; otherwise save the list as UTF-8 text.',
    );
  }
  return { names: linesOf(utf8), escapedFirst: true };
}

/** The lines of a text that are not blank, either line ending; a byte order mark is not part of the first one. */
export function splitLines(text: string): string[] {
  return text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '');
}

function namesBetweenNuls(bytes: Buffer): (string | Buffer)[] {
  const names = split(bytes, NUL);
  // The last NUL ends the last name; nothing follows it.
  if (names.at(-1)?.length === 0) names.pop();
  return names.map(nameOf);
}

/** UTF-16 is recognised by its byte order mark. Other bytes stay as they are, without the mark of UTF-8 before lines. */
function toUtf8(bytes: Buffer, nulSeparated: boolean): Buffer {
  const [first, second, third] = bytes;
  if (first === 0xff && second === 0xfe) return Buffer.from(new TextDecoder('utf-16le').decode(bytes));
  if (first === 0xfe && second === 0xff) return Buffer.from(new TextDecoder('utf-16be').decode(bytes));
  const marked = first === 0xef && second === 0xbb && third === 0xbf;
  return marked && !nulSeparated ? bytes.subarray(3) : bytes;
}

function linesOf(bytes: Buffer): (string | Buffer)[] {
  return split(bytes, NEWLINE)
    .map((line) => nameOf(line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line))
    .filter((name) => typeof name !== 'string' || name.trim() !== '');
}

function nameOf(bytes: Buffer): string | Buffer {
  return isUtf8(bytes) ? bytes.toString() : bytes;
}

function split(bytes: Buffer, separator: number): Buffer[] {
  const parts: Buffer[] = [];
  let from = 0;
  for (let at = bytes.indexOf(separator); at >= 0; at = bytes.indexOf(separator, from)) {
    parts.push(bytes.subarray(from, at));
    from = at + 1;
  }
  parts.push(bytes.subarray(from));
  return parts;
}
