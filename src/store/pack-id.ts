/**
 * The names a pack may have. An id becomes the name of a folder on every platform, so it holds only characters that are plain everywhere.
 */
import { UsageError } from '../errors.ts';

const PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** Windows keeps these names for devices, whatever ending follows. */
const RESERVED = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)/i;

/** True for a name that a pack may have. */
export function isPackId(name: string): boolean {
  // Windows drops a dot at the end, so two ids would be one folder.
  return PATTERN.test(name) && !name.endsWith('.') && !RESERVED.test(name);
}

/** @throws UsageError saying what an id may look like. */
export function requirePackId(name: string): void {
  if (isPackId(name)) return;
  throw new UsageError(
    `"${name}" cannot be the id of a model. Use at most 100 letters, digits, dots, underscores and hyphens, begin with a letter or a digit, and avoid device names of Windows such as "con".`,
  );
}
