/**
 * An image file has two names: the one that records show, and the one that the system opens.
 *
 * On Linux and macOS a file name is a row of bytes, and not every row is UTF-8: a name that an old program wrote in Latin-1 is none.
 * Records must be UTF-8 all the same, and two files must never share a name. So a byte that does not belong to a UTF-8 character is
 * written `\xE9`, and a backslash that would read as the beginning of such an escape is written `\x5C`. Every other name stays as it is,
 * and each written name stands for exactly one file (docs/file-names.md). On Windows names are Unicode, and nothing is escaped.
 */
import { isUtf8 } from 'node:buffer';
import { sep } from 'node:path';

/** An image that the user named, directly or through a folder, a pattern or a list. */
export type ImageFile = {
  /** The path as records show it: as the user wrote its beginning, with `/` between folders, in the written form. */
  path: string;
};

const ESCAPE = /\\x([0-9A-F]{2})/;
const NAMES_ARE_BYTES = sep !== '\\';

/** The written form of a path as the system has it. */
export function writtenPath(path: string | Buffer): string {
  if (typeof path !== 'string') return isUtf8(path) ? writtenPath(path.toString()) : writtenBytes(path);
  // Almost no name holds one, and this is asked of each.
  if (!NAMES_ARE_BYTES || !path.includes('\\x')) return path;
  return path.replaceAll(/\\(?=x[0-9A-F]{2})/g, String.raw`\x5C`);
}

/** What to open for a path in the written form. */
export function systemPath(written: string): string | Buffer {
  return NAMES_ARE_BYTES && ESCAPE.test(written) ? pathBytes(written) : written;
}

/** The bytes of a path in the written form, by which paths are ordered. */
export function pathBytes(written: string): Buffer {
  if (!NAMES_ARE_BYTES || !ESCAPE.test(written)) return Buffer.from(written);
  // Split at escapes, every second part is the number of a byte.
  const parts = written.split(new RegExp(ESCAPE, 'g'));
  return Buffer.concat(parts.map((part, index) => Buffer.from(part, index % 2 === 0 ? 'utf8' : 'hex')));
}

/** Whether `text` holds escapes and could have been written by `writtenPath`. */
export function isEscapedPath(text: string): boolean {
  return NAMES_ARE_BYTES && ESCAPE.test(text) && writtenPath(pathBytes(text)) === text;
}

/** Characters as they are, and each byte that belongs to none as an escape. */
function writtenBytes(bytes: Buffer): string {
  let written = '';
  let characters = 0;
  for (let at = 0; at < bytes.length;) {
    const end = at + characterLength(bytes[at] as number);
    if (end <= bytes.length && isUtf8(bytes.subarray(at, end))) {
      at = end;
      continue;
    }
    written += writtenPath(bytes.toString('utf8', characters, at));
    written += String.raw`\x${bytes.toString('hex', at, at + 1).toUpperCase()}`;
    at += 1;
    characters = at;
  }
  return written + writtenPath(bytes.toString('utf8', characters));
}

/** How many bytes a UTF-8 character takes that begins with `byte`; 1 also where none does. */
function characterLength(byte: number): number {
  if (byte >= 0xf0) return 4;
  if (byte >= 0xe0) return 3;
  return byte >= 0xc0 ? 2 : 1;
}
