/**
 * The text of a `--files-from` list as paths.
 *
 * Lines suit what people write; NUL-separated entries (`find -print0`) suit names that hold a newline.
 */

/**
 * Splits a list into its entries, in order.
 *
 * Blank lines are skipped and a byte order mark is not part of the first name. Nothing else is trimmed, since a name may begin or end
 * with a space. Between NULs every character counts, newlines too.
 */
export function splitFileList(text: string, nulSeparated: boolean): string[] {
  if (nulSeparated) return text.split('\0').filter((entry) => entry !== '');
  return text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '');
}
