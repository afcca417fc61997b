/** The beginning of a file as text: SVG, and what is said of files that are no images. */

const HEAD_BYTES = 16_384;

type Encoding = 'utf-8' | 'utf-16le' | 'utf-16be';

/** The encoding of a text by its byte order mark, or by the zeros between the letters of its beginning. */
export function textEncoding(bytes: Uint8Array): Encoding {
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0x3c && second === 0)) return 'utf-16le';
  if ((first === 0xfe && second === 0xff) || (first === 0 && second === 0x3c)) return 'utf-16be';
  return 'utf-8';
}

/** The beginning as text, or undefined where it is none. */
export function textHead(bytes: Uint8Array): string | undefined {
  try {
    // A character cut at the end of the head is no error while streaming.
    const decoder = new TextDecoder(textEncoding(bytes), { fatal: true });
    const text = decoder.decode(bytes.subarray(0, HEAD_BYTES), { stream: true });
    return /[^\P{Cc}\s]/u.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

/** Whether a text begins as an SVG does, its prolog and comments included. */
export function looksLikeSvg(bytes: Uint8Array): boolean {
  // Markup is ASCII in every encoding but UTF-16, so a Latin-1 file is recognised too.
  const encoding = textEncoding(bytes);
  const decoder = encoding === 'utf-8' ? new TextDecoder('latin1') : new TextDecoder(encoding);
  const head = decoder.decode(bytes.subarray(0, HEAD_BYTES));
  return (
    /^(?:\uFEFF|ï»¿)?\s*(?:<\?xml|<!--|<!DOCTYPE\s+svg|<(?:\w+:)?svg[\s>])/i.test(head) &&
    /<(?:\w+:)?svg[\s>]/i.test(head)
  );
}

/** What is said of bytes that say nothing. */
export const UNKNOWN_CONTENT = 'content of an unknown kind';

/** Describes content of no known image kind in a few words. */
export function describeUnknown(bytes: Uint8Array): string {
  const head = textHead(bytes);
  if (head === undefined) return UNKNOWN_CONTENT;
  if (/^\s*<(?:!doctype html|html|head|body)/i.test(head)) return 'an HTML page';
  return /^\s*<\?xml/i.test(head) ? 'XML' : 'text';
}
