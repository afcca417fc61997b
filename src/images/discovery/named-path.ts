/**
 * What a name may mean that a person or a program gave: a path as it stands, and where there is nothing of that name, one that records show,
 * a `file:` address or a path in the home folder.
 */
import { homedir } from 'node:os';
import { sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isEscapedPath, writtenPath } from '../image-file.ts';

export type NamedPath = {
  /** Paths in the written form. The first one that exists is meant. */
  readings: readonly string[];
  /** How a record shows the name where none of them exists. */
  missing: string;
  /** The name as a pattern; undefined where it can be none. */
  pattern: string | undefined;
};

/**
 * @param escapedFirst whether escapes are read before the name is taken as it stands: in lists made from records
 */
export function readName(name: string | Buffer, escapedFirst: boolean): NamedPath {
  const literal = normalise(writtenPath(name));
  if (typeof name !== 'string') return { readings: [literal], missing: literal, pattern: undefined };
  if (isAddress(name)) {
    const local = localPath(name);
    return local === undefined
      ? { readings: [literal], missing: name, pattern: undefined }
      : { readings: [literal, local], missing: local, pattern: undefined };
  }
  if (isEscapedPath(name)) {
    const escaped = normalise(name);
    const readings = escapedFirst ? [escaped, literal] : [literal, escaped];
    return { readings, missing: escaped, pattern: name };
  }
  if (name === '~' || name.startsWith('~/')) {
    const expanded = normalise(homedir() + name.slice(1));
    return { readings: [literal, writtenPath(expanded)], missing: writtenPath(expanded), pattern: expanded };
  }
  return { readings: [literal], missing: literal, pattern: normalise(name) };
}

/** One spelling per path: `/` between folders, no `./`, no doubled or trailing slash. `..` stays, as removing it is wrong behind links. */
function normalise(path: string): string {
  if (path === '') return path;
  const posix = toPosix(path);
  // On Windows also `C:/` and `//server`.
  const root = (sep === '\\' ? /^(?:[A-Za-z]:\/|\/\/?)/ : /^\//).exec(posix)?.[0] ?? '';
  const segments = posix.slice(root.length).split('/');
  const kept = segments.filter((segment) => segment !== '' && segment !== '.').join('/');
  return root + kept === '' ? '.' : root + kept;
}

/** A backslash separates folders on Windows only; elsewhere it is a character of a name. */
export function toPosix(path: string): string {
  return sep === '\\' ? path.replaceAll('\\', '/') : path;
}

/** Whether a name is the address of something on the web, or of a file. */
export function isAddress(name: string): boolean {
  return /^(?:file:\/|[a-z][a-z\d+.-]+:\/\/)/i.test(name);
}

/** The path of a `file:` address in the written form; undefined for other addresses, and where it lies on another machine. */
function localPath(address: string): string | undefined {
  try {
    const url = new URL(address);
    if (url.protocol !== 'file:') return undefined;
    if (sep === '\\') return toPosix(fileURLToPath(url));
    if (url.hostname !== '' && url.hostname !== 'localhost') return undefined;
    return normalise(writtenPath(percentDecoded(url.pathname)));
  } catch {
    return undefined;
  }
}

/** `%E9` stands for a byte, which need not belong to a UTF-8 character. */
function percentDecoded(text: string): Buffer {
  const parts = text.split(/%([\dA-F]{2})/i);
  return Buffer.concat(parts.map((part, index) => Buffer.from(part, index % 2 === 0 ? 'utf8' : 'hex')));
}
